//! Every bound of the broker, none left to the library.

use std::time::Duration;

/// Of one packet, unless [`Limits`] say otherwise: a block of 64 KiB with much room.
pub const PACKET_BYTES_MAX: u32 = 128 * 1024;

/// All of these hold for each client alike, the gateway's own included.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Of one MQTT packet. A client that sends a longer one is disconnected. What
    /// an unauthenticated client can make the broker hold is also this much.
    ///
    /// A connection keeps a buffer of the longest packet that was sent to it: after
    /// blocks of 64 KiB, 4,000 clients held 66 KiB each until they left.
    pub packet_bytes_max: u32,
    /// Messages waiting for one client. A full queue drops new messages of QoS 0,
    /// and for new ones of QoS 1 and 2 the oldest. It also bounds how many
    /// retained messages one subscription can bring.
    pub queue_len_max: usize,
    /// Messages of QoS 1 and 2 sent to one client and not acknowledged.
    pub inflight_max: u16,
    /// Clients with a session, connected or not.
    pub sessions_max: usize,
    /// Logins being decided at one time; more wait.
    pub logins_at_once_max: usize,
    pub subscriptions_per_client_max: usize,
    pub client_id_bytes_max: usize,
    pub topic_levels_max: usize,
    /// Retained messages, and the bytes of their topics and payloads. A message
    /// that would exceed either disconnects its publisher.
    pub retained_max: usize,
    pub retained_bytes_max: usize,
    /// From the connection, with or without TLS, to the end of the login.
    pub login_timeout: Duration,
    /// Connections that have not logged in yet; one address may have half of them.
    /// More wait until others have logged in or run out of time.
    pub connections_before_login_max: usize,
    /// Messages that one client may publish, on average and in one go. What is more is
    /// acknowledged and dropped. Like the next not for a client that
    /// [`crate::AccessControl::is_rate_limited`] excepts.
    pub messages_per_s_max: u32,
    pub messages_burst_max: u32,
    /// What is read of one client in a second; it waits with more.
    pub bytes_per_s_max: u32,
    /// A client that does not take a packet within this is disconnected.
    pub send_timeout: Duration,
    /// Longest keep-alive that a client may ask for. None at all is refused.
    pub keep_alive_max_s: u16,
    /// How long a session outlives its connection.
    pub session_expiry: Duration,
    /// How long a message waits for a client. Retained messages stay.
    pub message_expiry: Duration,
}

impl Default for Limits {
    /// For 10,000 devices: a block of 64 KiB with room for its envelope, and two
    /// retained messages of 16 KiB for each.
    fn default() -> Self {
        Self {
            packet_bytes_max: PACKET_BYTES_MAX,
            queue_len_max: 1_000,
            inflight_max: 32,
            sessions_max: 10_100,
            logins_at_once_max: 500,
            subscriptions_per_client_max: 100,
            client_id_bytes_max: 128,
            topic_levels_max: 12,
            retained_max: 20_000,
            retained_bytes_max: 320 * 1024 * 1024,
            login_timeout: Duration::from_secs(10),
            connections_before_login_max: 2_048,
            messages_per_s_max: 200,
            messages_burst_max: 1_000,
            bytes_per_s_max: 1024 * 1024,
            send_timeout: Duration::from_secs(10),
            keep_alive_max_s: 300,
            session_expiry: Duration::from_secs(600),
            message_expiry: Duration::from_secs(600),
        }
    }
}
