//! A daemon without services: it speaks the whole link protocol, and the test says what it answers.

use souk_proto::accounts::{GetUserByNameRequest, User};
use souk_proto::common::{Empty, GoAway, Hello};
use souk_proto::limits::PROTOCOL_VERSION;
use souk_proto::{Failure, Flags, Header, Inbox, Kind, Method, Outbox, hello};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

pub const SECRET: &[u8] = b"a secret of some length for tests";

/// One frame from the front, and the way back.
pub struct Event {
    pub kind: Kind,
    pub method: Option<Method>,
    pub id: u64,
    pub flags: Flags,
    pub deadline_ms: u32,
    pub payload: Vec<u8>,
    pub node: String,
    pub shard: u32,
    pub link: Link,
}

/// The way to one front.
#[derive(Clone)]
pub struct Link(Arc<Mutex<TcpStream>>);

impl Link {
    fn send(&self, fill: impl FnOnce(&mut Outbox)) {
        let mut outbox = Outbox::new();
        fill(&mut outbox);
        let bytes = outbox.take().expect("something to send");
        // The front may be gone: tests stop it in any order.
        let _ = self.0.lock().expect("no panic").write_all(&bytes);
    }

    pub fn message(&self, header: &Header, message: &impl prost::Message) {
        self.send(|outbox| outbox.push(header, message).expect("fits"));
    }

    pub fn bytes(&self, header: &Header, bytes: &[u8]) {
        self.send(|outbox| outbox.push_bytes(header, bytes).expect("fits"));
    }

    pub fn go_away(&self, reason: &str) {
        self.message(&Header::new(Kind::GoAway, 0), &GoAway { reason: reason.into() });
    }

    pub fn cut(&self) {
        let _ = self.0.lock().expect("no panic").shutdown(Shutdown::Both);
    }

    pub fn garbage(&self) {
        let _ = self.0.lock().expect("no panic").write_all(&[0xff; 64]);
    }
}

impl Event {
    pub fn answer(&self, message: &impl prost::Message) {
        self.link.message(&Header::new(Kind::Response, self.id), message);
    }

    /// Answers with nothing but that items follow.
    pub fn begin_items(&self) {
        let header = Header::new(Kind::Response, self.id).flags(Flags::STREAM);
        self.link.message(&header, &Empty {});
    }

    pub fn item(&self, message: &impl prost::Message) {
        self.link.message(&Header::new(Kind::Push, self.id), message);
    }

    /// Sends items in one piece.
    pub fn items(&self, messages: &[impl prost::Message]) {
        let header = Header::new(Kind::Push, self.id);
        self.link.send(|outbox| {
            messages.iter().for_each(|message| outbox.push(&header, message).expect("fits"));
        });
    }

    /// Says that no more items follow.
    pub fn end(&self) {
        self.link.bytes(&Header::new(Kind::Push, self.id).flags(Flags::END), &[]);
    }

    pub fn fail(&self, failure: &Failure) {
        self.link.send(|outbox| outbox.push_failure(self.id, failure).expect("fits"));
    }

    pub fn decode<M: prost::Message + Default>(&self) -> M {
        M::decode(&*self.payload).expect("the front encodes")
    }

    /// The name that a by-name request asks for.
    pub fn name(&self) -> String {
        assert_eq!(self.method, Some(Method::GetUserByName));
        self.decode::<GetUserByNameRequest>().username
    }
}

type Behaviour = Arc<dyn Fn(Event) + Send + Sync>;

/// A daemon that listens. It stops when it goes out of scope.
pub struct Daemon {
    address: SocketAddr,
    listener: TcpListener,
    stopped: Arc<AtomicBool>,
    links: Arc<Mutex<Vec<TcpStream>>>,
    accepting: Option<JoinHandle<()>>,
}

impl Daemon {
    pub fn start(node: &str, shards: u32, on: impl Fn(Event) + Send + Sync + 'static) -> Daemon {
        Daemon::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), node, shards, on)
    }

    pub fn start_at(
        address: SocketAddr,
        node: &str,
        shards: u32,
        on: impl Fn(Event) + Send + Sync + 'static,
    ) -> Daemon {
        let listener = TcpListener::bind(address).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let stopped = Arc::new(AtomicBool::new(false));
        let links: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let accepting = std::thread::spawn({
            let (listener, stopped) = (listener.try_clone().expect("files"), stopped.clone());
            let (links, on, node) = (links.clone(), Arc::new(on) as Behaviour, node.to_owned());
            move || {
                while let Ok((socket, _)) = listener.accept() {
                    if stopped.load(Ordering::SeqCst) {
                        return;
                    }
                    socket.set_nodelay(true).expect("settable");
                    links.lock().expect("no panic").push(socket.try_clone().expect("files"));
                    let (on, node) = (on.clone(), node.clone());
                    std::thread::spawn(move || serve(socket, &node, shards, &on));
                }
            }
        });
        Daemon { address, listener, stopped, links, accepting: Some(accepting) }
    }

    /// A daemon that knows every user: the id of a name is its length.
    pub fn of_users(node: &str, shards: u32) -> Daemon {
        Daemon::start(node, shards, |event| {
            if event.kind == Kind::Request {
                event.answer(&user(&event.name()));
            }
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all links and takes no new ones. The port is free afterwards.
    pub fn stop(mut self) -> SocketAddr {
        self.end();
        self.address
    }

    fn end(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the accept.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            accepting.join().expect("no panic");
        }
        let _ = self.listener.set_nonblocking(true);
        for link in self.links.lock().expect("no panic").drain(..) {
            let _ = link.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}

pub fn user(name: &str) -> User {
    User {
        id: name.len() as u64,
        username: name.into(),
        nickname: name.into(),
        picture: String::new(),
        rating: 1000,
        version: 1,
        created_at_ms: 1_700_000_000_000,
    }
}

fn serve(mut socket: TcpStream, node: &str, shards: u32, on: &Behaviour) {
    let link = Link(Arc::new(Mutex::new(socket.try_clone().expect("files"))));
    let mut inbox = Inbox::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut greeted: Option<Hello> = None;
    loop {
        let count = match socket.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => return,
            Ok(count) => count,
        };
        inbox.extend(&buffer[..count]);
        while let Some(frame) = inbox.next().expect("the front sends frames") {
            let header = frame.header;
            match (header.kind, &greeted) {
                (Kind::Hello, None) => {
                    let hello = <Hello as prost::Message>::decode(frame.payload).expect("a HELLO");
                    if let Err(error) = hello::check_front(&hello, SECRET, shards) {
                        link.go_away(&error.to_string());
                        link.cut();
                        return;
                    }
                    let mine = Hello {
                        version: PROTOCOL_VERSION,
                        secret: Vec::new(),
                        node: node.into(),
                        shard: hello.shard,
                        shards,
                    };
                    link.message(&Header::new(Kind::Hello, 0), &mine);
                    greeted = Some(hello);
                }
                (Kind::Ping, Some(_)) => {
                    link.bytes(&Header::new(Kind::Pong, header.request_id), &[]);
                }
                (_, Some(hello)) => on(Event {
                    kind: header.kind,
                    method: Method::from_number(header.method),
                    id: header.request_id,
                    flags: header.flags,
                    deadline_ms: header.deadline_ms,
                    payload: frame.payload.to_vec(),
                    node: node.into(),
                    shard: hello.shard,
                    link: link.clone(),
                }),
                (kind, None) => panic!("{kind:?} came before HELLO"),
            }
        }
    }
}
