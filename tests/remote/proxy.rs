//! A connection to a server that is cut at some byte, or flips a bit there.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What is to happen to the bytes that go one way.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub way: Way,
    /// At which byte, counted over all connections since the fault was set.
    pub at: u64,
    pub what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToServer,
    ToClient,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Cut,
    Flip,
}

/// A listener that hands on to a server.
pub struct Proxy {
    pub port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    fault: Option<Fault>,
    passed: u64,
}

impl Proxy {
    pub fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A server that is gone closes the connection.
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let copies = client.try_clone().and_then(|client| Ok((client, server.try_clone()?)));
                let Ok((client_too, server_too)) = copies else { continue };
                let (up, down) = (Arc::clone(&shared), Arc::clone(&shared));
                thread::spawn(move || hand_on(client, server, Way::ToServer, &up));
                thread::spawn(move || hand_on(server_too, client_too, Way::ToClient, &down));
            }
        });
        Self { port, state }
    }

    /// From now on this happens, once.
    pub fn set(&self, fault: Option<Fault>) {
        *self.state.lock().expect("no panic under this lock") = State { fault, passed: 0 };
    }
}

fn hand_on(mut from: TcpStream, mut to: TcpStream, way: Way, state: &Mutex<State>) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(count) = from.read(&mut bytes) {
        if count == 0 {
            break;
        }
        let mut state = state.lock().expect("no panic under this lock");
        if let Some(fault) = state.fault.filter(|fault| fault.way == way) {
            let before = state.passed;
            state.passed += count as u64;
            if state.passed > fault.at {
                state.fault = None;
                let place = (fault.at - before) as usize;
                match fault.what {
                    What::Flip => bytes[place] ^= 1 << (fault.at % 8),
                    What::Cut => {
                        drop(state);
                        let _ = to.write_all(&bytes[..place]);
                        break;
                    }
                }
            }
        }
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    for stream in [&from, &to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}
