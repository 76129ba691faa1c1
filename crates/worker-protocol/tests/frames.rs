//! Frames from a worker that lies, dies or babbles.

use proptest::prelude::*;
use worker_protocol::{
    ClockTrust, Command, Event, FRAME_BYTES_MAX, FrameError, Grants, GuestId, Limits, Load,
    LogLevel, LogLine, PROTOCOL_VERSION, Published, Sensor, SensorSource, Usage, WallClock,
    read_frame, read_guest_frame, write_frame, write_guest_frame,
};

fn example_load() -> Command {
    Command::Load(Load {
        artifact: vec![0, 1, 2],
        app: "filter".into(),
        limits: Limits {
            memory_bytes_max: 65_536,
            stack_bytes: 65_536,
            call_ms_max: 1_000,
            log_lines_per_s_max: 10,
            publishes_per_s_max: 10,
            ..Limits::default()
        },
        grants: Grants {
            sensors: vec![Sensor {
                name: "temperature".into(),
                source: SensorSource::Simulated { seed: 42 },
            }],
            channels: vec!["average".into()],
            ..Grants::default()
        },
        clock: Some(WallClock { trust: ClockTrust::Gateway, time_ms: 5 }),
        priority: Some(3),
        ..Load::default()
    })
}

#[test]
fn messages_survive_the_round_trip_one_after_the_other() {
    let mut stream = Vec::new();
    write_frame(&mut stream, &example_load()).unwrap();
    write_frame(&mut stream, &Command::Stop).unwrap();
    let mut from = stream.as_slice();
    assert_eq!(read_frame::<Command>(&mut from).unwrap(), example_load());
    assert_eq!(read_frame::<Command>(&mut from).unwrap(), Command::Stop);
    assert!(matches!(read_frame::<Command>(&mut from), Err(FrameError::Closed)));
}

#[test]
fn a_frame_names_its_guest_and_one_of_the_only_guest_is_as_it_always_was() {
    let mut stream = Vec::new();
    write_guest_frame(&mut stream, GuestId(700), &Command::Unload).unwrap();
    write_guest_frame(&mut stream, GuestId::ONLY, &Command::Stop).unwrap();
    write_frame(&mut stream, &Command::Stop).unwrap();
    let mut from = stream.as_slice();
    let mut next = || read_guest_frame::<Command>(&mut from).unwrap();
    assert_eq!(next(), (GuestId(700), Command::Unload));
    assert_eq!(next(), (GuestId::ONLY, Command::Stop));
    assert_eq!(next(), (GuestId::ONLY, Command::Stop));
    // As version 2 wrote it: a hello is read whatever the version is.
    let stop = [4, 0, 0, 0, 0x82, 0x04, 0x80];
    assert!(stream.ends_with(&stop[4..]), "{stream:02x?}");
    let no_number = [4, 0, 0, 0, 0x82, 0x04, 0x80, 0x61];
    assert!(matches!(read_guest_frame::<Command>(&no_number[..]), Err(FrameError::Malformed(_))));
}

#[test]
fn events_survive_the_round_trip() {
    for event in [
        Event::Usage(Usage { cpu_us: 7, call_running_ms: Some(3), ..Usage::default() }),
        Event::Log(LogLine { level: LogLevel::Warn, text: "warm".into() }),
        Event::Published(Published { channel: "a".into(), seq: 1, payload: vec![9] }),
        Event::Started,
    ] {
        let mut stream = Vec::new();
        write_frame(&mut stream, &event).unwrap();
        assert_eq!(read_frame::<Event>(stream.as_slice()).unwrap(), event);
    }
    assert_eq!(PROTOCOL_VERSION, 3);
}

#[test]
fn a_length_beyond_the_limit_is_refused_before_it_is_read() {
    let stream = (FRAME_BYTES_MAX as u32 + 1).to_le_bytes();
    assert!(matches!(read_frame::<Event>(&stream[..]), Err(FrameError::TooLong(_))));
}

#[test]
fn a_stream_cut_at_any_byte_is_an_error_and_no_message() {
    let mut stream = Vec::new();
    write_frame(&mut stream, &example_load()).unwrap();
    for len in 1..stream.len() {
        assert!(
            matches!(read_frame::<Command>(&stream[..len]), Err(FrameError::Io(_))),
            "cut at {len}"
        );
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut stream = (bytes.len() as u32).to_le_bytes().to_vec();
        stream.extend(&bytes);
        let _ = read_frame::<Event>(stream.as_slice());
        let _ = read_frame::<Command>(bytes.as_slice());
    }
}
