//! Decides whose a connection on loopback is: the kernel is asked for the other end of it.
//! Must never guess: where the kernel does not tell, the owner is unknown.

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::{
    AF_INET, IPPROTO_TCP, SockDiagMessage,
    inet::{ExtensionFlags, InetRequest, SocketId, StateFlags},
};
use netlink_sys::{Socket, SocketAddr as KernelAddr, protocols::NETLINK_SOCK_DIAG};
use nix::unistd::Uid;
use std::net::SocketAddr;

/// An answer about one socket is far smaller.
const ANSWER: usize = 8 * 1024;

/// The kernel, as the one who knows.
pub(super) struct Kernel(Option<Socket>);

impl Kernel {
    /// Where it cannot be asked, every owner is unknown.
    pub(super) fn new() -> Self {
        let socket = Socket::new(NETLINK_SOCK_DIAG).and_then(|socket| {
            // The answer is there when the question was sent; where none is, nothing is waited for.
            socket.set_non_blocking(true)?;
            Ok(socket)
        });
        Kernel(socket.ok())
    }

    /// Whether a connection that was accepted is another user's. root may do what it likes here anyway.
    pub(super) fn is_of_another(&self, here: SocketAddr, there: SocketAddr) -> bool {
        let owner = self.owner(here, there);
        owner.is_some_and(|owner| owner != Uid::effective() && !owner.is_root())
    }

    /// Who owns the socket at `there` that is connected to `here`.
    fn owner(&self, here: SocketAddr, there: SocketAddr) -> Option<Uid> {
        let socket = self.0.as_ref()?;
        let mut question = NetlinkMessage::new(
            NetlinkHeader::default(),
            NetlinkPayload::from(SockDiagMessage::InetRequest(InetRequest {
                family: AF_INET,
                protocol: IPPROTO_TCP,
                extensions: ExtensionFlags::empty(),
                states: StateFlags::all(),
                socket_id: SocketId {
                    source_port: there.port(),
                    destination_port: here.port(),
                    source_address: there.ip(),
                    destination_address: here.ip(),
                    interface_id: 0,
                    cookie: [0xff; 8],
                },
            })),
        );
        question.header.flags = NLM_F_REQUEST;
        question.finalize();
        let mut bytes = vec![0; question.buffer_len()];
        question.serialize(&mut bytes);
        socket.send_to(&bytes, &KernelAddr::new(0, 0), 0).ok()?;
        let mut answer = Vec::with_capacity(ANSWER);
        socket.recv(&mut answer, 0).ok()?;
        match NetlinkMessage::<SockDiagMessage>::deserialize(&answer)
            .ok()?
            .payload
        {
            NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(found)) => {
                let found = found.header;
                let same = found.socket_id.source_port == there.port()
                    && found.socket_id.destination_port == here.port();
                // A socket that was closed belongs to nobody, and the kernel then says root.
                (same && found.inode != 0).then(|| Uid::from_raw(found.uid))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn relay_knows_whose_a_connection_is_while_it_is_open() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = listener.local_addr().unwrap();
        let client = TcpStream::connect(here).unwrap();
        let (_server, there) = listener.accept().unwrap();
        let kernel = Kernel::new();
        assert_eq!(kernel.owner(here, there), Some(Uid::effective()));
        assert!(!kernel.is_of_another(here, there));
        drop(client);
        assert_eq!(kernel.owner(here, there), None);
    }
}
