//! Measures the work of parsing the progress of a task, which an engine sends as JSON texts.
//!
//! Bollard parses an incomplete text again with each piece of the body that arrives. The work is
//! therefore the sum of the lengths that the text has at the end of each piece, and an engine that
//! sends very small pieces could cause much of it with few bytes.

/// The maximum length of a JSON text in bytes.
pub(super) const MAX_TEXT: u64 = 4 << 20;

/// The maximum work for one task, in bytes that are parsed.
const MAX_WORK: u64 = 2 << 30;

/// The maximum number of bytes of a line in the head of a response that are looked at.
const MAX_HEADER: usize = 256;

/// Follows the responses on one connection, and counts the work for their bodies.
#[derive(Debug, Default)]
pub(super) struct ParsingWork {
    at: ResponsePart,
    /// The beginning of the current line of a head, or of the line with the size of a chunk.
    line: Vec<u8>,
    is_chunked: bool,
    /// True in the head of a response that only precedes another one, such as `100 Continue`.
    is_interim: bool,
    text: JsonText,
    work: u64,
}

/// The part of a response that the next byte belongs to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum ResponsePart {
    #[default]
    Head,
    /// A body that is not chunked.
    Body,
    ChunkSize,
    /// The number of bytes that are left of a chunk.
    Chunk(u64),
    ChunkEnd,
    /// The lines after the last chunk.
    Trailer,
}

/// The JSON text that is not complete yet.
#[derive(Debug, Default)]
struct JsonText {
    length: u64,
    depth: u64,
    is_string: bool,
    is_escaped: bool,
}

impl JsonText {
    fn add(&mut self, byte: u8) {
        self.length += 1;
        match (self.is_string, byte) {
            (true, _) if self.is_escaped => self.is_escaped = false,
            (true, b'\\') => self.is_escaped = true,
            (true, b'"') => self.is_string = false,
            (false, b'"') => self.is_string = true,
            (false, b'{' | b'[') => self.depth += 1,
            (false, b'}' | b']') => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    self.length = 0;
                }
            }
            _ => {}
        }
    }
}

impl ParsingWork {
    /// Adds bytes that one read returned.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.add_byte(byte);
        }
        // Without chunks, each read is a piece. A chunk that arrives in parts is several pieces.
        if matches!(self.at, ResponsePart::Body | ResponsePart::Chunk(_)) {
            self.end_piece();
        }
    }

    /// The exceeded limit.
    pub(super) fn exceeded(&self) -> Option<String> {
        if self.text.length > MAX_TEXT {
            return Some(format!(
                "it sent a JSON text of more than {} MiB",
                MAX_TEXT >> 20
            ));
        }
        (self.work > MAX_WORK).then(|| "it sent JSON texts in too many pieces".to_owned())
    }

    fn end_piece(&mut self) {
        self.work += self.text.length;
    }

    fn add_byte(&mut self, byte: u8) {
        match self.at {
            ResponsePart::Body => self.text.add(byte),
            ResponsePart::Chunk(left) => {
                self.text.add(byte);
                self.at = ResponsePart::Chunk(left - 1);
                if left == 1 {
                    self.end_piece();
                    self.at = ResponsePart::ChunkEnd;
                }
            }
            ResponsePart::ChunkEnd if byte == b'\n' => self.at = ResponsePart::ChunkSize,
            ResponsePart::ChunkEnd => {}
            ResponsePart::Head | ResponsePart::ChunkSize | ResponsePart::Trailer
                if byte == b'\n' =>
            {
                let line = std::mem::take(&mut self.line);
                self.at = self.after(line.trim_ascii());
            }
            ResponsePart::Head | ResponsePart::ChunkSize | ResponsePart::Trailer => {
                if self.line.len() < MAX_HEADER {
                    self.line.push(byte);
                }
            }
        }
    }

    /// The position after a complete line of a head, or with the size of a chunk.
    fn after(&mut self, line: &[u8]) -> ResponsePart {
        match (self.at, line) {
            (ResponsePart::Head, b"") if std::mem::take(&mut self.is_chunked) => {
                ResponsePart::ChunkSize
            }
            (ResponsePart::Head, b"") if std::mem::take(&mut self.is_interim) => ResponsePart::Head,
            (ResponsePart::Head, b"") => ResponsePart::Body,
            (ResponsePart::Head, line) => {
                let line = line.to_ascii_lowercase();
                self.is_interim |= line.starts_with(b"http/1.1 1");
                let coding = line.strip_prefix(b"transfer-encoding:");
                self.is_chunked |= coding.is_some_and(|coding| coding.ends_with(b"chunked"));
                ResponsePart::Head
            }
            (ResponsePart::Trailer, b"") => ResponsePart::Head,
            (ResponsePart::Trailer, _) => ResponsePart::Trailer,
            (_, line) => match chunk_size(line) {
                Some(0) => ResponsePart::Trailer,
                Some(size) => ResponsePart::Chunk(size),
                // The HTTP client refuses the response.
                None => ResponsePart::Body,
            },
        }
    }
}

/// The size of a chunk, without the extensions after it.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line).ok()?;
    let size = text.split(';').next()?.trim();
    u64::from_str_radix(size, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

    fn chunk(text: &str) -> String {
        format!("{:x}\r\n{text}\r\n", text.len())
    }

    /// The work after these reads.
    fn work<T: AsRef<[u8]>>(reads: &[T]) -> u64 {
        let mut work = ParsingWork::default();
        for read in reads {
            work.add(read.as_ref());
        }
        work.work
    }

    #[test]
    fn the_work_is_the_length_of_the_incomplete_text_at_the_end_of_each_piece() {
        let complete = chunk("{\"stream\":\"a\"}\r\n");
        assert_eq!(work(&[HEAD.to_owned(), complete.clone()]), 2);
        assert_eq!(work(&[HEAD.to_owned() + &complete.repeat(3)]), 6);
        let pieces: String = ["{\"a\":\"", "}{\\\"", "\n", "\"}"].map(chunk).concat();
        assert_eq!(work(&[HEAD.to_owned() + &pieces]), 6 + 10 + 11);
        // A chunk in two reads is two pieces.
        let (first, second) = pieces.split_at(5);
        assert_eq!(work(&[HEAD, first, second]), 2 + 6 + 10 + 11);
        let plain = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a\":";
        assert_eq!(work(&[plain, "1", "}"]), 5 + 6);
        assert_eq!(work(&[HEAD.to_owned() + &chunk(" ").repeat(3)]), 1 + 2 + 3);
    }

    #[test]
    fn every_response_of_a_connection_is_measured() {
        let first = chunk("{}") + "0\r\n\r\n";
        let second = HEAD.to_owned() + &chunk("{\"");
        assert_eq!(work(&[HEAD.to_owned() + &first + &second]), 2);
        let interim = "HTTP/1.1 100 Continue\r\n\r\n".to_owned();
        assert_eq!(work(&[interim + HEAD + &chunk("{}")]), 0);
    }

    #[test]
    fn small_pieces_of_a_long_text_exceed_the_limit() {
        let mut work = ParsingWork::default();
        work.add(
            (HEAD.to_owned() + &chunk(&format!("{{\"a\":\"{}", "x".repeat(3 << 20)))).as_bytes(),
        );
        assert_eq!(work.exceeded(), None);
        let small = chunk("x");
        let mut sent = 0;
        while work.exceeded().is_none() {
            work.add(small.as_bytes());
            sent += small.len();
        }
        assert_eq!(
            work.exceeded().as_deref(),
            Some("it sent JSON texts in too many pieces")
        );
        assert!(sent < 10_000, "{sent}");
        let mut work = ParsingWork::default();
        work.add((HEAD.to_owned() + &chunk(&"[\n".repeat(3 << 20))).as_bytes());
        assert_eq!(
            work.exceeded().as_deref(),
            Some("it sent a JSON text of more than 4 MiB")
        );
    }

    #[test]
    fn a_usual_build_stays_far_below_the_limit() {
        let mut work = ParsingWork::default();
        work.add(HEAD.as_bytes());
        let line = format!("{{\"stream\":\"{}\"}}\r\n", "x".repeat(60 << 10));
        for _ in 0..100 {
            for piece in line.as_bytes().chunks(2048) {
                work.add(chunk(std::str::from_utf8(piece).unwrap()).as_bytes());
            }
        }
        assert!(work.work < MAX_WORK / 10, "{}", work.work);
    }
}
