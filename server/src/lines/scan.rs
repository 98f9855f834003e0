//! The `id` of a message, found while its bytes go by, whatever else they are.

use rmcp::model::RequestId;

/// Longest `id` in bytes that is given back.
const ID_LEN_MAX: usize = 256;

/// Where the scan is, as if the bytes were JSON; if they are not, it finds nothing, or something that looked like it.
#[derive(Debug, Default)]
pub(super) struct IdScan {
    depth: u64,
    in_text: bool,
    is_escaped: bool,
    /// Whether what comes next in the outermost object is a value, and that of `id`.
    place: Place,
    /// The member name or the value that is being looked at.
    token: Vec<u8>,
    id: Option<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Place {
    #[default]
    Name,
    ValueOfId,
    OtherValue,
}

impl IdScan {
    /// Looks at some more bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.id.is_some() {
                return;
            }
            self.step(*byte);
        }
    }

    /// What was found.
    pub(super) fn id(&self) -> Option<RequestId> {
        self.id.as_deref().and_then(|id| serde_json::from_slice(id).ok())
    }

    fn step(&mut self, byte: u8) {
        if self.in_text {
            self.keep(byte);
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.in_text = false,
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => {
                self.in_text = true;
                self.keep(byte);
            }
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.end_value();
                self.depth = self.depth.saturating_sub(1);
            }
            b':' if self.depth == 1 => {
                self.place = if self.token == b"\"id\"" { Place::ValueOfId } else { Place::OtherValue };
                self.token.clear();
            }
            b',' => self.end_value(),
            byte if byte.is_ascii_whitespace() => {}
            byte => self.keep(byte),
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.depth == 1 && self.place != Place::OtherValue && self.token.len() <= ID_LEN_MAX {
            self.token.push(byte);
        }
    }

    fn end_value(&mut self) {
        if self.depth != 1 {
            return;
        }
        let token = std::mem::take(&mut self.token);
        if self.place == Place::ValueOfId && token.len() <= ID_LEN_MAX {
            self.id = Some(token);
        }
        self.place = Place::Name;
    }
}

#[cfg(test)]
mod tests {
    use rmcp::model::RequestId;

    use super::IdScan;

    fn id(text: &str) -> Option<RequestId> {
        let mut scan = IdScan::default();
        // As it comes from a pipe: in pieces.
        text.as_bytes().chunks(3).for_each(|part| scan.feed(part));
        scan.id()
    }

    #[test]
    fn the_id_is_found_wherever_it_stands() {
        assert_eq!(id(r#"{"jsonrpc":"2.0","id":7,"method":"tools/call"#), Some(RequestId::Number(7)));
        assert_eq!(id(r#" { "params": {"id": 1, "x": ["id", {"id": 2}]} , "id" : "a\"b" }"#), text("a\"b"));
        assert_eq!(id(r#"{"a":"\"id\":3,","id":-4}"#), Some(RequestId::Number(-4)));
    }

    #[test]
    fn what_is_none_is_not_taken_for_one() {
        for none in ["", "garbage", "{", r#"{"id""#, r#"{"id":{"id":1}}"#, r#"{"id":[1]}"#, r#"{"id":null}"#]
        {
            assert_eq!(id(none), None, "{none}");
        }
        assert_eq!(id(&format!(r#"{{"id":"{}"}}"#, "x".repeat(1_000))), None);
        assert_eq!(id(&"[".repeat(100_000)), None);
    }

    fn text(id: &str) -> Option<RequestId> {
        Some(RequestId::String(id.into()))
    }
}
