//! A connection's bytes, plain or behind TLS, never waiting.

use crate::request::Target;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::ClientConnection;
use std::io::{self, ErrorKind, Read, Write};

/// An open or opening connection. Every call may end with [`ErrorKind::WouldBlock`]: go on when the poll says so.
pub struct Transport {
    socket: TcpStream,
    session: Option<Box<ClientConnection>>,
    is_connected: bool,
}

impl Transport {
    /// Begins to connect to `target`; the poll of `registry` tells of it under `token`.
    pub fn open(target: &Target, registry: &Registry, token: Token) -> io::Result<Transport> {
        let mut socket = TcpStream::connect(target.address)?;
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        let session = match &target.tls {
            Some((config, name)) => {
                let session = ClientConnection::new(config.clone(), name.clone()).map_err(io::Error::other)?;
                Some(Box::new(session))
            }
            None => None,
        };
        Ok(Transport { socket, session, is_connected: false })
    }

    /// Goes on with connecting; done when it returns without an error.
    pub fn advance(&mut self) -> io::Result<()> {
        if !self.is_connected {
            if let Some(error) = self.socket.take_error()? {
                return Err(error);
            }
            match self.socket.peer_addr() {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotConnected => return Err(ErrorKind::WouldBlock.into()),
                Err(error) => return Err(error),
            }
            self.socket.set_nodelay(true)?;
            self.is_connected = true;
        }
        let Some(session) = &mut self.session else { return Ok(()) };
        while session.is_handshaking() {
            if session.wants_write() {
                session.write_tls(&mut self.socket)?;
            } else {
                if session.read_tls(&mut self.socket)? == 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                session.process_new_packets().map_err(io::Error::other)?;
            }
        }
        self.flush()
    }

    /// Takes some of `bytes`, perhaps into a buffer of its own that [`Transport::flush`] empties.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(session) = &mut self.session else { return self.socket.write(bytes) };
        match session.writer().write(bytes)? {
            // The buffer is full: nothing more until it has emptied.
            0 => {
                self.flush()?;
                Err(ErrorKind::WouldBlock.into())
            }
            taken => Ok(taken),
        }
    }

    /// Sends what waits in the buffer.
    pub fn flush(&mut self) -> io::Result<()> {
        if let Some(session) = &mut self.session {
            while session.wants_write() {
                session.write_tls(&mut self.socket)?;
            }
        }
        Ok(())
    }

    /// Reads into `room`; 0 when the other side has closed.
    pub fn receive(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let Some(session) = &mut self.session else { return self.socket.read(room) };
        loop {
            match session.reader().read(room) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // Closed without saying goodbye: what is whole is judged by the answer's own length.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                other => return other,
            }
            if session.read_tls(&mut self.socket)? == 0 {
                return Ok(0);
            }
            session.process_new_packets().map_err(io::Error::other)?;
        }
    }
}
