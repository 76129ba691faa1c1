//! A site: devices behind one link, whose deliveries together may be held to a
//! number of bytes a second. A part of a topic, so no character of it may mean
//! anything there.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

const LEN_MAX: usize = 32;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SiteName(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a site's name has 1 to {LEN_MAX} characters of a-z, 0-9 and \"-\"")]
pub struct InvalidSiteName;

impl SiteName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SiteName {
    type Err = InvalidSiteName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        match (1..=LEN_MAX).contains(&text.len()) && text.bytes().all(fits) {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidSiteName),
        }
    }
}

impl TryFrom<String> for SiteName {
    type Error = InvalidSiteName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<SiteName> for String {
    fn from(name: SiteName) -> Self {
        name.0
    }
}

impl fmt::Display for SiteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<C> Encode<C> for SiteName {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for SiteName {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        d.str()?.parse().map_err(minicbor::decode::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_means_nothing_in_a_topic_is_a_name() {
        for good in ["a", "north-1", &"x".repeat(LEN_MAX)] {
            assert_eq!(good.parse::<SiteName>().unwrap().as_str(), good);
        }
        for bad in ["", "A", "a/b", "+", "#", "a b", "\u{e4}", &"x".repeat(LEN_MAX + 1)] {
            assert_eq!(bad.parse::<SiteName>(), Err(InvalidSiteName), "{bad}");
            let bytes = minicbor::to_vec(bad).unwrap();
            assert!(minicbor::decode::<SiteName>(&bytes).is_err());
        }
    }
}
