//! The bytes of golden's own JSON objects.

/// Serialises golden's own JSON objects: fields in declaration order, without white space.
pub(crate) fn to_json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value)
        .unwrap_or_else(|error| unreachable!("the keys of a manifest are strings: {error}"))
}
