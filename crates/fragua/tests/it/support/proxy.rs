//! A line between two programs that a test can cut.

#![allow(clippy::unwrap_used, reason = "all of this is tests")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How the line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Open,
    /// Every connection breaks.
    Cut,
    /// Questions arrive; a connection breaks before its answer does.
    Deaf,
}

/// Forwards connections as long as it lives.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    mode: watch::Sender<Mode>,
    swallowed: Arc<AtomicUsize>,
}

impl Proxy {
    pub(crate) async fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            mode: watch::Sender::new(Mode::Open),
            swallowed: Arc::default(),
        };
        let (mode, swallowed) = (proxy.mode.subscribe(), proxy.swallowed.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *mode.borrow() == Mode::Cut {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&target).await else {
                    continue;
                };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let (mut there, mut back) = (mode.clone(), mode.clone());
                let swallowed = swallowed.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        () = forward(from_client, to_server, None) => {}
                        () = forward(from_server, to_client, Some((&mut back, &swallowed))) => {}
                        _ = there.wait_for(|mode| *mode == Mode::Cut) => {}
                    }
                });
            }
        });
        proxy
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// How many answers were lost so far.
    pub(crate) fn swallowed(&self) -> usize {
        self.swallowed.load(Ordering::SeqCst)
    }
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    answers: Option<(&mut watch::Receiver<Mode>, &AtomicUsize)>,
) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        if let Some((mode, swallowed)) = &answers
            && *mode.borrow() == Mode::Deaf
        {
            swallowed.fetch_add(1, Ordering::SeqCst);
            return;
        }
        if to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}
