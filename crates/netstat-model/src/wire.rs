//! How bytes from outside are written in recordings: as text where they are UTF-8, else as numbers.

/// Bytes that mostly are text.
pub(crate) mod text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize)]
    #[serde(untagged)]
    enum Borrowed<'a> {
        Text(&'a str),
        Bytes(&'a [u8]),
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    pub(super) enum Owned {
        Text(String),
        Bytes(Vec<u8>),
    }

    impl Owned {
        pub(super) fn bytes(self) -> Vec<u8> {
            match self {
                Owned::Text(text) => text.into_bytes(),
                Owned::Bytes(bytes) => bytes,
            }
        }
    }

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Borrowed::Text(text),
            Err(_) => Borrowed::Bytes(bytes),
        }
        .serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, T: From<Vec<u8>>>(deserializer: D) -> Result<T, D::Error> {
        Ok(Owned::deserialize(deserializer)?.bytes().into())
    }
}

/// The same for a fact; known text stands at the head of a list, so that it cannot be taken for a reason.
pub(crate) mod fact_text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::text;
    use crate::{Fact, Why};

    #[derive(Serialize)]
    struct One<'a>(#[serde(serialize_with = "text::serialize")] &'a [u8], ());

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Read {
        Known(text::Owned, ()),
        Unknown(Why),
    }

    pub(crate) fn serialize<S: Serializer>(fact: &Fact<Box<[u8]>>, serializer: S) -> Result<S::Ok, S::Error> {
        match fact {
            Fact::Known(bytes) => One(bytes, ()).serialize(serializer),
            Fact::Unknown(why) => why.serialize(serializer),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Fact<Box<[u8]>>, D::Error> {
        Ok(match Read::deserialize(deserializer)? {
            Read::Known(known, ()) => Fact::Known(known.bytes().into()),
            Read::Unknown(why) => Fact::Unknown(why),
        })
    }
}
