//! A client that costs little itself, so that what is measured is the server: it counts the time from the first byte
//! of a request to the last byte of its answer, and neither what comes before nor the reading of the answer.

use std::io::{self, BufRead as _, BufReader, IoSlice, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// An answer that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(120);
/// What is received in one go of a large body.
const PIECE: usize = 1024 * 1024;
/// What is sent in one go of a body of no meaning.
const BLOCK: usize = 256 * 1024;
/// Digits of the number that each block begins with.
const DIGITS: usize = 16;
static FILLER: [u8; BLOCK] = [b'x'; BLOCK];
/// Blocks that were sent.
static BLOCKS: AtomicU64 = AtomicU64::new(0);

/// Requests to one server, one after the other, over a connection that stays open. Clones share it.
#[derive(Clone)]
pub(super) struct Client {
    host: String,
    line: Arc<Mutex<Line>>,
}

#[derive(Default)]
struct Line {
    stream: Option<BufReader<TcpStream>>,
    waited: Duration,
}

/// What a request carries.
#[derive(Clone, Copy)]
enum Body<'b> {
    None,
    Json(&'b str),
    /// So many bytes of no meaning. Each block of them begins with another number: stores that keep equal blocks once shall
    /// not have it easier.
    Filler(u64),
}

impl Body<'_> {
    fn length(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Json(text) => text.len() as u64,
            Self::Filler(length) => length,
        }
    }
}

impl Client {
    /// Makes a client of the server at `http://HOST:PORT`.
    pub(super) fn new(base: &str) -> Self {
        Self {
            host: base
                .trim_start_matches("http://")
                .trim_end_matches('/')
                .to_owned(),
            line: Arc::default(),
        }
    }

    /// Returns a client of the same server with a connection of its own.
    pub(super) fn another(&self) -> Self {
        Self::new(&self.host)
    }

    /// Returns how long the requests of this connection have waited for their answers, all together.
    pub(super) fn waited(&self) -> Duration {
        self.line.lock().unwrap_or_else(PoisonError::into_inner).waited
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.post_text(path, &body.to_string())
    }

    /// Posts a JSON text that was written before.
    pub(super) fn post_text(&self, path: &str, body: &str) -> Result<Value> {
        self.json("POST", path, Body::Json(body))
    }

    pub(super) fn get(&self, path: &str) -> Result<Value> {
        self.json("GET", path, Body::None)
    }

    /// Returns an answer as it is, such as a page.
    pub(super) fn get_text(&self, path: &str) -> Result<String> {
        let mut text = Vec::new();
        self.ask("GET", path, Body::None, &mut text)?;
        String::from_utf8(text).with_context(|| format!("the answer of {path} is no text"))
    }

    /// Uploads a file of so many bytes.
    pub(super) fn put(&self, path: &str, length: u64) -> Result<()> {
        self.ask("PUT", path, Body::Filler(length), &mut io::sink())?;
        Ok(())
    }

    /// Reads a download to its end and returns its length.
    pub(super) fn download(&self, path: &str) -> Result<u64> {
        self.ask("GET", path, Body::None, &mut io::sink())
    }

    fn json(&self, method: &str, path: &str, body: Body<'_>) -> Result<Value> {
        let mut text = Vec::new();
        self.ask(method, path, body, &mut text)?;
        serde_json::from_slice(&text).with_context(|| format!("the answer of {path} is no JSON"))
    }

    /// Writes the body of the answer to `sink` and returns its length.
    fn ask(&self, method: &str, path: &str, body: Body<'_>, sink: &mut dyn io::Write) -> Result<u64> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stream = match line.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.host,
            body.length()
        );
        let begin = Instant::now();
        send(&mut stream, head.as_bytes(), body).with_context(|| format!("cannot ask {path}"))?;
        let answer =
            receive(&mut stream, sink).with_context(|| format!("the answer of {path} breaks off"))?;
        line.waited += begin.elapsed();
        ensure!(
            (200..300).contains(&answer.status),
            "{path} answers {}",
            answer.status
        );
        if !answer.is_last {
            line.stream = Some(stream);
        }
        Ok(answer.length)
    }

    fn connect(&self) -> Result<BufReader<TcpStream>> {
        let stream =
            TcpStream::connect(&self.host).with_context(|| format!("cannot connect to {}", self.host))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(BufReader::with_capacity(PIECE, stream))
    }
}

fn send(stream: &mut BufReader<TcpStream>, head: &[u8], body: Body<'_>) -> io::Result<()> {
    let stream = stream.get_mut();
    match body {
        Body::None => stream.write_all(head),
        Body::Json(text) => stream.write_all(&[head, text.as_bytes()].concat()),
        Body::Filler(length) => {
            let (mut left, mut before) = (length, head.to_vec());
            while left > 0 {
                let some = left.min(BLOCK as u64) as usize;
                let number = format!("{:0DIGITS$}", BLOCKS.fetch_add(1, Ordering::Relaxed));
                let digits = some.min(DIGITS);
                before.extend_from_slice(&number.as_bytes()[..digits]);
                let mut parts = [IoSlice::new(&before), IoSlice::new(&FILLER[digits..some])];
                send_all(stream, &mut parts)?;
                before.clear();
                left -= some as u64;
            }
            stream.write_all(&before)
        }
    }
}

/// Sends parts that lie apart in as few goes as the connection takes.
fn send_all(stream: &mut TcpStream, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut parts, 0);
    while !parts.is_empty() {
        match stream.write_vectored(parts)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            sent => IoSlice::advance_slices(&mut parts, sent),
        }
    }
    Ok(())
}

struct Answer {
    status: u16,
    length: u64,
    /// Whether the server ends the connection behind it.
    is_last: bool,
}

fn receive(stream: &mut impl io::BufRead, sink: &mut dyn io::Write) -> Result<Answer> {
    let status_line = text_line(stream)?;
    let status = status_line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status = status.with_context(|| format!("{status_line:?} is no status line"))?;
    let (mut length, mut is_chunked, mut is_last) = (None, false, false);
    loop {
        let header = text_line(stream)?.to_ascii_lowercase();
        match header.split_once(':').map(|(name, value)| (name, value.trim())) {
            None => break,
            Some(("content-length", value)) => length = Some(value.parse::<u64>()?),
            Some(("transfer-encoding", value)) => is_chunked = value == "chunked",
            Some(("connection", value)) => is_last = value == "close",
            Some(_) => {}
        }
    }
    let length = match (is_chunked, length) {
        (true, _) => receive_chunks(stream, sink)?,
        (false, Some(length)) => copy(stream, length, sink)?,
        (false, None) => bail!("an answer without a length"),
    };
    Ok(Answer {
        status,
        length,
        is_last,
    })
}

fn receive_chunks(stream: &mut impl io::BufRead, sink: &mut dyn io::Write) -> Result<u64> {
    let mut all = 0;
    loop {
        let size = text_line(stream)?;
        let size = u64::from_str_radix(size.split(';').next().unwrap_or(""), 16)?;
        all += copy(stream, size, sink)?;
        ensure!(text_line(stream)?.is_empty(), "a chunk without an end");
        if size == 0 {
            return Ok(all);
        }
    }
}

/// Passes what was received on from where it lies.
fn copy(stream: &mut impl io::BufRead, length: u64, sink: &mut dyn io::Write) -> Result<u64> {
    let mut left = length;
    while left > 0 {
        let some = stream.fill_buf()?;
        ensure!(!some.is_empty(), "{left} of {length} bytes are missing");
        let count = usize::try_from(left).map_or(some.len(), |left| left.min(some.len()));
        sink.write_all(&some[..count])?;
        stream.consume(count);
        left -= count as u64;
    }
    Ok(length)
}

fn text_line(stream: &mut impl io::BufRead) -> Result<String> {
    let mut line = String::new();
    stream.take(64 * 1024).read_line(&mut line)?;
    let text = line.strip_suffix("\r\n").context("a line without an end")?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(text: &str) -> Result<(u16, String, bool)> {
        let mut body = Vec::new();
        let answer = receive(&mut text.as_bytes(), &mut body)?;
        assert_eq!(answer.length, body.len() as u64);
        Ok((answer.status, String::from_utf8(body)?, answer.is_last))
    }

    #[test]
    fn answers_with_a_length_and_in_chunks() {
        for (text, expected) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd",
                (200, "abc", false),
            ),
            (
                "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nConnection: close\r\n\r\n",
                (404, "", true),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
                (200, "ab0123456789", false),
            ),
        ] {
            let (status, body, is_last) = received(text).unwrap();
            assert_eq!((status, body.as_str(), is_last), expected, "{text:?}");
        }
    }

    #[test]
    fn answers_that_break_off_are_told() {
        for text in [
            "",
            "SSH-2.0-x\r\n",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab\r\n",
        ] {
            assert!(received(text).is_err(), "{text:?}");
        }
    }
}
