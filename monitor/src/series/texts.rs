//! How values stand in data: seconds as times, transitions as words.

/// A second as `--since` takes it.
pub(super) mod second {
    use logq_format::Timestamp;
    use serde::de::{Deserialize as _, Deserializer, Error as _};
    use serde::ser::Serializer;

    use crate::render::{self, Style};

    pub(in crate::series) fn serialize<S: Serializer>(
        second: &i64,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(&render::time(*second, Style::FULL))
    }

    pub(in crate::series) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<i64, D::Error> {
        let text = String::deserialize(from)?;
        let time: Timestamp = text.parse().map_err(D::Error::custom)?;
        Ok(time.as_micros().div_euclid(1_000_000))
    }
}

/// `fired` or `recovered`.
pub(super) mod change {
    use serde::de::{Deserialize as _, Deserializer, Error as _};
    use serde::ser::Serializer;

    use crate::alert::Change;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(in crate::series) fn serialize<S: Serializer>(
        change: &Change,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(match change {
            Change::Fired => "fired",
            Change::Recovered => "recovered",
        })
    }

    pub(in crate::series) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Change, D::Error> {
        match String::deserialize(from)?.as_str() {
            "fired" => Ok(Change::Fired),
            "recovered" => Ok(Change::Recovered),
            other => Err(D::Error::unknown_variant(other, &["fired", "recovered"])),
        }
    }
}
