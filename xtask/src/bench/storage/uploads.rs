//! Many large uploads at once.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Barrier;
use std::thread;

use anyhow::{Context as _, Result, bail, ensure};

use super::servers::Server;

/// How many uploads are under way at once.
pub(super) const UPLOADS: usize = 100;
/// What each says that it sends, and what it sends of it: memory is to depend on neither.
const SAID_BYTES: u64 = 1 << 30;
const SENT_BYTES: usize = 64 << 20;
const CHUNK_BYTES: usize = 256 << 10;

/// Begins [`UPLOADS`] objects of a gibibyte and breaks them off when each of them has sent a part; `requests` are signed
/// for as many keys.
pub(super) fn begin_all(server: &Server, requests: &str) -> Result<()> {
    let path = server.folder.join(requests);
    let signed = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let places = signed.lines().filter_map(|line| line.strip_prefix("PUT "));
    let places: Vec<&str> = places.take(UPLOADS).collect();
    ensure!(
        places.len() == UPLOADS,
        "{requests} has {} requests",
        places.len()
    );
    let host = server.address.strip_prefix("http://").unwrap_or(&server.address);
    // No connection ends before the last one has sent its share.
    let all_sent = &Barrier::new(UPLOADS);
    let upload = |place| {
        let sent = send(host, place);
        all_sent.wait();
        sent.map(drop)
    };
    thread::scope(|scope| {
        let uploads: Vec<_> = places
            .into_iter()
            .map(|place| scope.spawn(move || upload(place)))
            .collect();
        let mut ends = uploads.into_iter().map(|upload| upload.join());
        ends.try_for_each(|end| end.unwrap_or_else(|_| bail!("an upload panicked")))
    })
}

/// Sends the beginning of an object, and returns the connection, on which the rest could follow.
fn send(host: &str, place: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(host)?;
    write!(
        stream,
        "PUT {place} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {SAID_BYTES}\r\n\r\n"
    )?;
    let chunk = vec![b'x'; CHUNK_BYTES];
    for _ in 0..SENT_BYTES / CHUNK_BYTES {
        stream.write_all(&chunk).context("the upload was cut off")?;
    }
    Ok(stream)
}
