//! One connection to a server: a stream and the protocol's state beside it.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::connection::ClientConnection;
use crate::message::{Reply, ReplyBody, RequestBody, Token};
use crate::transport::{Address, Stream, connect};

/// Why a connection could not be made, or ended.
#[derive(Clone, Debug)]
pub(super) enum LinkError {
    /// It is gone, or never was.
    Io(Arc<io::Error>),
    /// One side did not understand the other. To try again does not help.
    Protocol(crate::connection::ClientError),
}

impl From<io::Error> for LinkError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

impl From<crate::connection::ClientError> for LinkError {
    fn from(error: crate::connection::ClientError) -> Self {
        Self::Protocol(error)
    }
}

/// One connection to a server that has said hello.
pub(super) struct Link {
    stream: Box<dyn Stream>,
    pub(super) wire: ClientConnection,
}

impl Link {
    /// Connects and waits for the server's hello.
    pub(super) async fn open(address: &Address, name: &str) -> Result<Self, LinkError> {
        let mut link = Self { stream: connect(address).await?, wire: ClientConnection::new(name) };
        while link.wire.server().is_none() {
            link.exchange().await?;
            // The hello is taken in here; there is no other reply yet.
            link.wire.poll_reply()?;
        }
        Ok(link)
    }

    /// Binds the connection to a session; gives the server's answer.
    pub(super) async fn resume(&mut self, token: &Token) -> Result<ReplyBody, LinkError> {
        let resume = RequestBody::Resume { token: token.clone() };
        self.wire.request(&resume).map_err(io::Error::other)?;
        loop {
            if let Some(Reply { body, .. }) = self.wire.poll_reply()? {
                return Ok(body);
            }
            self.exchange().await?;
        }
    }

    /// Writes what is to be written and waits until something was read.
    async fn exchange(&mut self) -> Result<(), LinkError> {
        poll_fn(|cx| {
            self.poll_write(cx)?;
            self.poll_read(cx)
        })
        .await
    }

    /// Writes as much as the stream takes.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<(), LinkError> {
        while !self.wire.output().is_empty() {
            match Pin::new(&mut *self.stream).poll_write(cx, self.wire.output())? {
                Poll::Ready(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Poll::Ready(bytes) => self.wire.sent(bytes),
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    /// Ready when something was read. The end of the stream is an error.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        let buffer = self.wire.read_buffer();
        pin!(self.stream.read_buf(buffer)).poll(cx).map(|read| match read? {
            0 => {
                Err(io::Error::new(io::ErrorKind::ConnectionReset, "the server closed the connection").into())
            }
            _ => Ok(()),
        })
    }

    /// Ends the connection in good order.
    pub(super) async fn close(mut self) {
        // It is over either way.
        let _ended = self.stream.shutdown().await;
    }
}
