//! Decides what another user does on this machine: opens connections, or plays an engine.
//! Must never run as a user whom a test runs rpub as.

use std::{
    fs::Permissions,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    os::unix::{fs::PermissionsExt as _, net::UnixListener, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::sync::oneshot::{Receiver, channel};

/// `nobody`, who owns nothing.
const UID: u32 = 65_534;
/// At a time.
pub(crate) const CONNECTIONS: usize = 2000;
/// What the processes below are told, by their environment.
const PORT: &str = "RPUB_TEST_PORT";
const SOCKET: &str = "RPUB_TEST_SOCKET";

/// A process of the other user; it ends with this.
pub(crate) struct Other {
    child: Child,
    folder: TempDir,
}

impl Other {
    /// This binary as the other user, who runs the test of this name in it.
    fn start(
        test: &str,
        variable: &str,
        value: impl FnOnce(&Path) -> String,
    ) -> (Self, BufReader<ChildStdout>) {
        assert!(nix::unistd::geteuid().is_root(), "only root changes users");
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        // Where it is, the other user may not go.
        let program = folder.path().join("other");
        std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let mut child = Command::new(program)
            .args(["--ignored", "--exact", test, "--nocapture"])
            .env_clear()
            .env(variable, value(folder.path()))
            .current_dir("/")
            .uid(UID)
            .gid(UID)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        (Other { child, folder }, lines)
    }

    /// One who opens many connections to a port, of each kind, and opens another for each that ends; and when so many were
    /// opened.
    pub(crate) fn connects_to(port: u16) -> (Self, Receiver<()>) {
        let (other, lines) = Self::start("other::connects_without_end", PORT, |_| port.to_string());
        let (sender, connected) = channel();
        std::thread::spawn(move || {
            if until(lines, "CONNECTED").is_some() {
                let _ = sender.send(());
            }
        });
        (other, connected)
    }

    /// One who listens where an engine could be, at a path below a folder that everybody may enter.
    pub(crate) fn listens_at(path: &str) -> Listening {
        let socket = |folder: &Path| folder.join(path).display().to_string();
        let (other, lines) = Self::start("other::listens_as_an_engine", SOCKET, socket);
        let lines = until(lines, "LISTENS").expect("it listens");
        Listening { other, lines }
    }
}

/// Reads as far as a line; none where that does not come.
fn until(lines: BufReader<ChildStdout>, line: &str) -> Option<BufReader<ChildStdout>> {
    let mut lines = lines;
    let mut said = String::new();
    while !said.ends_with(&format!("{line}\n")) {
        if lines.read_line(&mut said).unwrap() == 0 {
            return None;
        }
    }
    Some(lines)
}

/// An engine of the other user's.
pub(crate) struct Listening {
    other: Other,
    lines: BufReader<ChildStdout>,
}

impl Listening {
    /// A folder of the other user's, which everybody may enter.
    pub(crate) fn folder(&self) -> &Path {
        self.other.folder.path()
    }

    /// Ends it; what it heard.
    pub(crate) fn end(mut self) -> String {
        self.other.child.kill().unwrap();
        let mut said = String::new();
        self.lines.read_to_string(&mut said).unwrap();
        said
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // Both fail only where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends what can be sent at once: whoever is cut off has nothing to say.
fn say(mut stream: &TcpStream, bytes: &[u8]) {
    let _ = stream.write(bytes);
}

/// One connection of each kind by turns, after its first words.
fn connection(number: usize, port: u16) -> Option<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_nonblocking(true).unwrap();
    match number % 5 {
        0 => {}
        1 => say(&stream, b"GET /v2/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half"),
        2 => {
            say(&stream, b"GET /v2/ HTTP/1.1\r\nHost: 127.0.0.1\r\n");
            say(
                &stream,
                format!("X: {}\r\n", "x".repeat(390_000)).as_bytes(),
            );
        }
        3 => say(
            &stream,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        ),
        // Kept open after the 401.
        _ => say(&stream, b"GET /v2/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    }
    Some(stream)
}

fn has_ended(stream: &TcpStream) -> bool {
    let mut stream = stream;
    match stream.read(&mut [0; 512]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

#[test]
#[ignore = "only the tests run it, as another user"]
fn connects_without_end() {
    use nix::sys::resource::{Resource, setrlimit};
    let port = std::env::var(PORT).unwrap().parse().unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 4096, 4096).unwrap();
    let mut open: Vec<TcpStream> = Vec::new();
    let mut opened = 0;
    let mut told = false;
    loop {
        while open.len() < CONNECTIONS {
            // Nobody listens yet, or any more.
            let Some(stream) = connection(opened, port) else {
                break;
            };
            opened += 1;
            open.push(stream);
        }
        if opened >= CONNECTIONS && !told {
            told = true;
            println!("CONNECTED");
        }
        open.retain(|stream| !has_ended(stream));
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
#[ignore = "only the tests run it, as another user"]
fn listens_as_an_engine() {
    let socket = PathBuf::from(std::env::var_os(SOCKET).unwrap());
    std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, Permissions::from_mode(0o777)).unwrap();
    println!("LISTENS");
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut request = [0; 4096];
        // A connection without a word is none.
        let count = stream.read(&mut request).unwrap_or(0);
        if count > 0 {
            println!("HEARD {}", String::from_utf8_lossy(&request[..count]));
        }
        let answer = b"HTTP/1.1 200 OK\r\nLibpod-API-Version: 4.3.1\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK";
        let _ = stream.write_all(answer);
        let _ = stream.shutdown(Shutdown::Both);
    }
}
