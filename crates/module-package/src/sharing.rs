//! With whom a module shares its worker process.

use minicbor::{Decode, Encode};

/// Highest priority among the modules of one process; the lowest is 0.
pub const PRIORITY_MAX: u8 = 7;
const NAME_BYTES_MAX: usize = 64;

/// Of a module that has no process of its own.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Sharing {
    #[n(0)]
    pub with: SharedWith,
    /// Of the modules of one process that are due, the highest is called first.
    #[n(1)]
    pub priority: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum SharedWith {
    /// The modules that name the same application.
    #[n(0)]
    Application(#[n(0)] String),
    /// All modules of the device that say this.
    #[n(1)]
    Everybody,
}

impl Sharing {
    /// The same text for those who share, and for nobody else.
    pub fn group(&self) -> String {
        match &self.with {
            SharedWith::Application(name) => format!("application {name}"),
            SharedWith::Everybody => "shared modules".to_owned(),
        }
    }

    /// What is beyond its bounds, in words.
    pub fn check(&self) -> Result<(), String> {
        if self.priority > PRIORITY_MAX {
            return Err(format!(
                "its priority is {}; the highest is {PRIORITY_MAX}",
                self.priority
            ));
        }
        let SharedWith::Application(name) = &self.with else { return Ok(()) };
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(char::is_control) {
            return Err(format!(
                "the application that it shares a process with has a name of {} bytes; it needs 1 \
                 to {NAME_BYTES_MAX} without control characters",
                name.len()
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sharing_within_its_bounds_passes_and_any_other_is_named() {
        let of = |with, priority| Sharing { with, priority }.check();
        let application = |name: &str| SharedWith::Application(name.to_owned());
        assert_eq!(of(SharedWith::Everybody, PRIORITY_MAX), Ok(()));
        assert_eq!(of(application("climate"), 0), Ok(()));
        assert!(of(SharedWith::Everybody, 8).unwrap_err().contains("priority is 8"));
        for name in ["", "a\nb", &"x".repeat(65)] {
            let refused = of(application(name), 0).unwrap_err();
            assert!(refused.contains(&format!("{} bytes", name.len())), "{refused}");
        }
    }

    #[test]
    fn no_application_is_taken_for_everybody() {
        let group = |with| Sharing { with, priority: 0 }.group();
        let everybody = group(SharedWith::Everybody);
        for name in ["shared modules", "shared", ""] {
            assert_ne!(group(SharedWith::Application(name.to_owned())), everybody);
        }
    }
}
