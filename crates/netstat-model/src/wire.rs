//! Serialization of bytes from outside: as text if they are UTF-8, otherwise as numbers.

/// Serialization of bytes that are usually text.
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

/// Serialization of text in a fact. Known text is wrapped in a list, so that it cannot be mistaken for a reason.
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

    pub(crate) fn serialize<S: Serializer, T: AsRef<[u8]>>(fact: &Fact<T>, serializer: S) -> Result<S::Ok, S::Error> {
        match fact {
            Fact::Known(bytes) => One(bytes.as_ref(), ()).serialize(serializer),
            Fact::Unknown(why) => why.serialize(serializer),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, T: From<Vec<u8>>>(
        deserializer: D,
    ) -> Result<Fact<T>, D::Error> {
        Ok(match Read::deserialize(deserializer)? {
            Read::Known(known, ()) => Fact::Known(known.bytes().into()),
            Read::Unknown(why) => Fact::Unknown(why),
        })
    }
}

/// A text, for where `serde(with)` does not apply.
#[derive(serde::Serialize, serde::Deserialize)]
struct Text(#[serde(with = "text")] Vec<u8>);

/// Serialization of optional text.
pub(crate) mod option_text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Text;

    pub(crate) fn serialize<S: Serializer>(text: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        text.clone().map(Text).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        Ok(Option::<Text>::deserialize(deserializer)?.map(|text| text.0))
    }
}

/// Serialization of a list of texts.
pub(crate) mod texts {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Text;

    pub(crate) fn serialize<S: Serializer>(texts: &[Vec<u8>], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(texts.iter().map(|text| Text(text.clone())))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<u8>>, D::Error> {
        let texts = Vec::<Text>::deserialize(deserializer)?;
        Ok(texts.into_iter().map(|text| text.0).collect())
    }
}

/// Serialization of a fact that is a list of texts.
pub(crate) mod fact_texts {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Text;
    use crate::Fact;

    pub(crate) fn serialize<S: Serializer>(fact: &Fact<Vec<Vec<u8>>>, serializer: S) -> Result<S::Ok, S::Error> {
        let texts = |texts: &Vec<Vec<u8>>| texts.iter().cloned().map(Text).collect::<Vec<Text>>();
        fact.as_ref().map(texts).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Fact<Vec<Vec<u8>>>, D::Error> {
        let fact = Fact::<Vec<Text>>::deserialize(deserializer)?;
        Ok(fact.map(|texts| texts.into_iter().map(|text| text.0).collect()))
    }
}
