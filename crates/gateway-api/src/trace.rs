//! Which trace a request belongs to: the header `traceparent` of W3C Trace Context.
//!
//! The command line begins a trace for each command, or goes on with the one in its
//! environment; the gateway writes its id on each line that a request logs.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

pub const TRACEPARENT_HEADER: &str = "traceparent";

const SAMPLED: u8 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace_id: u128,
    /// Of the span that the request is made in.
    parent_id: u64,
    flags: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoTraceContext;

impl TraceContext {
    /// From random numbers, of which an id of zero is none. Whoever begins a trace wants
    /// it kept.
    pub fn begin(trace_id: u128, span_id: u64) -> Self {
        Self { trace_id: trace_id.max(1), parent_id: span_id.max(1), flags: SAMPLED }
    }

    /// The same trace, in a span below this one.
    pub fn below(self, span_id: u64) -> Self {
        Self { parent_id: span_id.max(1), ..self }
    }

    /// 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    pub fn trace_number(&self) -> u128 {
        self.trace_id
    }

    pub fn parent_number(&self) -> u64 {
        self.parent_id
    }

    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }
}

impl Display for TraceContext {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.parent_id, self.flags)
    }
}

impl FromStr for TraceContext {
    type Err = NoTraceContext;

    /// As the recommendation wants it: small letters, no id of zeros, version `ff` never,
    /// and of later versions the fields that this one has.
    fn from_str(text: &str) -> Result<Self, NoTraceContext> {
        let mut fields = text.splitn(5, '-');
        let mut hex = |digits: usize| {
            let field = fields.next().filter(|field| field.len() == digits)?;
            let is_small_hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
            let field = field.chars().all(is_small_hex).then_some(field)?;
            u128::from_str_radix(field, 16).ok()
        };
        let read = (|| Some((hex(2)?, hex(32)?, hex(16)?, hex(2)?)))();
        let (version, trace_id, parent_id, flags) = read.ok_or(NoTraceContext)?;
        let has_more = fields.next().is_some();
        if version == 0xff || (version == 0 && has_more) || trace_id == 0 || parent_id == 0 {
            return Err(NoTraceContext);
        }
        // The lengths above are those of these types.
        Ok(Self { trace_id, parent_id: parent_id as u64, flags: flags as u8 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_is_read_and_written() {
        let context: TraceContext = TEXT.parse().unwrap();
        assert_eq!(context.to_string(), TEXT);
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(context.is_sampled());
        let below = context.below(1).to_string();
        assert_eq!(below, "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000001-01");
        assert!(TraceContext::begin(0, 0).to_string().parse::<TraceContext>().is_ok());
    }

    #[test]
    fn what_is_no_context_is_none() {
        for wrong in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(wrong.parse::<TraceContext>(), Err(NoTraceContext), "{wrong}");
        }
        let later = TEXT.replacen("00", "01", 1) + "-more";
        assert_eq!(later.parse::<TraceContext>().unwrap().to_string(), TEXT);
    }
}
