//! Decides how HTTP/1.1 is read and written byte by byte, so that a test can break it at any byte.
//! Must never mend what it carries: only the framing that a proxy owns is changed.

use std::io::{Error, Result};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite,
    AsyncWriteExt as _,
};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A client's connection, plain or TLS.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {
    fn tcp(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Wire for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Start line and headers of a request or an answer.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) start: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    /// Reads one; `None` where the connection ends before it.
    pub(crate) async fn read(from: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<Head>> {
        let Some(start) = line(from).await?.filter(|start| !start.is_empty()) else {
            return Ok(None);
        };
        let mut headers = Vec::new();
        loop {
            let line = line(from)
                .await?
                .ok_or_else(|| Error::other("the head breaks off"))?;
            match line.split_once(':') {
                Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
                None => return Ok(Some(Head { start, headers })),
            }
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.headers
            .retain(|(key, _)| !key.eq_ignore_ascii_case(name));
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.remove(name);
        self.headers.push((name.to_owned(), value.into()));
    }

    /// The n-th word of the start line: `GET /v2/ HTTP/1.1`, `HTTP/1.1 200 OK`.
    pub(crate) fn word(&self, n: usize) -> &str {
        self.start.split(' ').nth(n).unwrap_or_default()
    }

    /// The status of an answer.
    pub(crate) fn status(&self) -> u16 {
        self.word(1).parse().unwrap_or_default()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = format!("{}\r\n", self.start);
        for (name, value) in &self.headers {
            out.extend([name, ": ", value, "\r\n"]);
        }
        out.push_str("\r\n");
        out.into_bytes()
    }

    /// Copies the body that follows this head, in its own framing.
    pub(crate) async fn copy_body(
        &self,
        from: &mut (impl AsyncBufRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Result<()> {
        if self.get("transfer-encoding").is_some() {
            return copy_chunks(from, to).await;
        }
        let length = self
            .get("content-length")
            .and_then(|length| length.parse().ok());
        let length: u64 = length.unwrap_or(0);
        let copied = tokio::io::copy(&mut from.take(length), to).await?;
        to.flush().await?;
        if copied == length {
            Ok(())
        } else {
            Err(Error::other("the body breaks off"))
        }
    }

    /// The same for a body whose length is told, at so many bytes in a second.
    pub(crate) async fn copy_body_slowly(
        &self,
        from: &mut (impl AsyncBufRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        speed: u64,
    ) -> Result<()> {
        let length = self.get("content-length").map(str::parse);
        let mut left: u64 = length.unwrap_or(Ok(0)).map_err(Error::other)?;
        while left > 0 {
            let piece = left.min(speed / 20);
            if tokio::io::copy(&mut from.take(piece), to).await? < piece {
                return Err(Error::other("the body breaks off"));
            }
            to.flush().await?;
            left -= piece;
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

async fn copy_chunks(
    from: &mut (impl AsyncBufRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> Result<()> {
    loop {
        let size_line = line(from).await?.unwrap_or_default();
        let size = u64::from_str_radix(size_line.split(';').next().unwrap_or_default().trim(), 16)
            .map_err(Error::other)?;
        to.write_all(format!("{size_line}\r\n").as_bytes()).await?;
        tokio::io::copy(&mut from.take(size + 2), to).await?;
        if size == 0 {
            return to.flush().await;
        }
    }
}

async fn line(from: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<String>> {
    let mut line = Vec::new();
    if from.take(64 * 1024).read_until(b'\n', &mut line).await? == 0 {
        return Ok(None);
    }
    let line = String::from_utf8(line).map_err(Error::other)?;
    Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
}
