//! Why a device did not do what it was told: numbers on the wire, words for people.

use minicbor::{Decode, Encode};

macro_rules! refusals {
    ($($number:literal $variant:ident $title:literal $advice:literal;)*) => {
        /// Numbers are only ever added. A number that this build does not know is
        /// kept as it is, so that an older gateway shows at least the number.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum RefusalCode {
            $($variant,)*
            Unknown(u16),
        }

        impl RefusalCode {
            pub const ALL: &[RefusalCode] = &[$(Self::$variant),*];

            pub fn number(self) -> u16 {
                match self {
                    $(Self::$variant => $number,)*
                    Self::Unknown(number) => number,
                }
            }

            pub fn from_number(number: u16) -> Self {
                match number {
                    $($number => Self::$variant,)*
                    _ => Self::Unknown(number),
                }
            }

            /// What happened, in one sentence.
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$variant => $title,)*
                    Self::Unknown(_) => "The device refused for a reason that this gateway does not know.",
                }
            }

            /// What to do about it.
            pub fn advice(self) -> &'static str {
                match self {
                    $(Self::$variant => $advice,)*
                    Self::Unknown(_) => "Upgrade the gateway: the agent is newer.",
                }
            }
        }
    };
}

refusals! {
    1 TooLong "A document is longer than its limit." "Deploy fewer applications to this device, or look for whoever publishes on its topics.";
    2 Malformed "A document is not well formed." "Look for whoever else publishes on the device's topics; check that gateway and agent are of neighbouring versions.";
    3 UnknownVersion "A document has a version that this agent does not read." "Upgrade the agent.";
    4 UnknownKey "A document is signed by a key that the root document does not name." "Look for whoever else publishes on the device's topics; enrol the device again if it belongs to another gateway.";
    5 RevokedKey "A document is signed by a revoked key." "Sign it again with a key that is valid.";
    6 WrongRole "A document is signed by a key of another role." "Sign it with a key of the right role.";
    7 BadSignature "A signature does not hold: the document was changed or made for another purpose." "Look for whoever changes messages between gateway and device.";
    8 WrongDevice "A manifest is for another device." "Look for whoever copies messages between devices.";
    9 Rollback "A manifest is older than the last one this device accepted." "Nothing if a message was only late; otherwise look for whoever replays messages, or for a gateway restored from an old backup.";
    10 Equivocation "Two manifests have one number and different contents." "Two gateways share one key, or the assign key is stolen: rotate it.";
    11 Expired "A document has ended." "Publish the desired state again; check the clocks.";
    12 BelowFloor "A module is older than the lowest version that the root document allows." "Deploy a newer version.";
    13 WrongTarget "An artifact was built for another architecture, bounds mode, CPU or AoT format." "Nothing should be able to cause this: report it.";
    14 WrongHash "Bytes do not have the hash that was signed." "The transfer is repeated by itself; if it goes on, look for whoever changes messages.";
    15 NoSpace "The device's store has no room." "Remove an application, or raise the store's limit.";
    16 Storage "The device could not write or read its store." "Check the device's disk.";
    17 DamagedArtifact "An artifact on the device's disk was changed." "The device fetches it again by itself; check the disk if it goes on.";
    18 UnknownImport "The module imports what this device does not offer." "Remove the import, or deploy to devices that offer it.";
    19 NotGranted "The device does not have a sensor or actuator that the application asks for." "Declare it in the device's configuration, or deploy elsewhere.";
    20 OverLimit "The module needs more than its limits at the start." "Raise the limit in the deployment.";
    21 LoadFailed "The runtime could not load or instantiate the artifact." "See the detail; the gateway's own check should have caught it, so report it.";
    22 KnownAnswer "A known-answer step gave another result on this device." "Do not use the module on this device; report it with the step.";
    23 WorkerStart "The runtime worker did not start." "Check the runtime's path and launcher in the agent's configuration.";
    24 SelfTest "The runtime failed its self-test." "Install a runtime that was built for this device.";
    25 TimeLimit "A call ran longer than its limit, and the worker was ended." "Raise the limit, or make the call shorter; deploy again to restart it.";
    26 CrashLoop "The module trapped or its worker died again and again, and it is quarantined." "See the log; deploy a version that works, or the same one again to give it another chance.";
    27 Inconsistent "A signed document contradicts itself." "Report it: the gateway should not have signed it.";
    28 FetchTimeout "Blocks did not arrive in time." "Check the connection; the device goes on trying.";
    29 Unhealthy "A new version was not well in its health window; the last good set runs." "See the detail and the log; deploy a version that works, or the same one again to give it another chance.";
    30 RootRefused "A root document does not follow the one that this device trusts." "Publish the root documents one by one, each signed by a threshold of the one before; look for whoever else publishes them.";
    31 Frozen "Something keeps newer documents from this device." "Look at the broker and whatever stands between it and the device.";
    37 FetchGivenUp "Blocks came too slowly or not at all, and the device stopped asking." "Check that the gateway serves blobs and that its broker lets the device read them; then deploy again.";
    50 StorageNotGranted "The applications want to store more than the device's owner allows." "Deploy with less storage, or raise app_storage_bytes_max in the device's configuration.";
    51 StoredValuesDamaged "What an application had stored was changed on the disk, and is lost." "Check the device's disk; the file was put aside there.";
    52 StaleMessage "A message to a module is late or came twice." "Nothing if the device was only started again meanwhile; otherwise look for whoever replays messages.";
    53 NotSubscribed "A message is for a module that does not take it." "Wait until the deployment runs, or deploy with the subscription.";
    54 TooManyMessages "More messages to modules came than the device takes." "Send fewer; look for whoever else publishes on the device's topics.";
    55 GasLimit "The module used more gas than its limit, and was stopped." "Raise the limit, or make the module do less; deploy again to restart it.";
    56 RateLimit "The module logged or published more than its limit, and was stopped." "Make the module send less, or let the limit only throttle it; deploy again to restart it.";
    60 NoCodeGenerator "Nothing compiles for devices of this kind." "Deploy to other devices. Code for this target needs a compiler that has a generator for it.";
    65 SchedulingNotAllowed "The module asks for a class, a processor or a weight that the device's owner does not allow." "Deploy without it, or allow it in the table [scheduling] of the agent's configuration (docs/real-time.md).";
    66 RealTimeFull "The real-time modules together ask for more processor time than the device's owner allows." "Ask for less run time or a longer period, remove another real-time module, or raise scheduling.utilization_percent_max.";
    67 SchedulingNotGiven "The device's kernel did not give the module what it is allowed to have." "See the detail: the agent may lack CAP_SYS_NICE, or the kernel's own admission test has no room. The module does not run instead as best-effort.";
    75 FilesNotGranted "The applications want more room for files than the device's owner allows." "Deploy with smaller directories, or raise app_files_bytes_max in the device's configuration.";
    80 NotPlaced "The device does not have an accelerator or a label that the application asks for." "Declare it in the device's configuration, or deploy elsewhere.";
}

impl<C> Encode<C> for RefusalCode {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.u16(self.number())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for RefusalCode {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        d.u16().map(Self::from_number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_distinct_and_survive_the_round_trip() {
        let numbers: Vec<u16> = RefusalCode::ALL.iter().map(|code| code.number()).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        for code in RefusalCode::ALL {
            assert_eq!(RefusalCode::from_number(code.number()), *code);
            assert!(code.title().ends_with('.') && code.advice().ends_with('.'));
        }
        assert_eq!(RefusalCode::from_number(9_999).number(), 9_999);
    }
}
