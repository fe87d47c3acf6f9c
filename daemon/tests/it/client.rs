//! A front as small as can be: one blocking link, frames in and out.

use prost::Message;
use souk_proto::accounts::{CreateUserRequest, LoginAnswer, LoginRequest, User};
use souk_proto::common::{Caller, Empty, Error, GoAway, Hello, ReadyAnswer, ReadyRequest};
use souk_proto::limits::PROTOCOL_VERSION;
use souk_proto::{Failure, Flags, Header, Inbox, Kind, Method, Outbox};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longer than anything here takes; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A frame with its payload.
#[derive(Debug)]
pub struct Frame {
    pub header: Header,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The failure that it carries.
    pub fn failure(&self) -> Failure {
        assert!(self.header.flags.has(Flags::ERROR), "{self:?} must be a failure");
        Error::decode(&self.payload[..]).expect("an error").into()
    }

    /// The reason in a GOAWAY.
    pub fn reason(&self) -> String {
        assert_eq!(self.header.kind, Kind::GoAway);
        GoAway::decode(&self.payload[..]).expect("a reason").reason
    }
}

/// One link.
pub struct Client {
    pub socket: TcpStream,
    inbox: Inbox,
    last_id: u64,
}

/// A HELLO that any daemon of this stack takes, for shard 0.
pub fn hello(secret: &[u8]) -> Hello {
    let secret = secret.trim_ascii_end().to_vec();
    Hello { version: PROTOCOL_VERSION, secret, node: "test".into(), shard: 0, shards: 0 }
}

impl Client {
    /// Connects and says nothing.
    pub fn open(address: &str) -> Client {
        let socket = TcpStream::connect(address).expect("connect");
        socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
        socket.set_nodelay(true).expect("nodelay");
        Client { socket, inbox: Inbox::new(), last_id: 0 }
    }

    /// Connects and says HELLO; the daemon's HELLO comes back.
    pub fn connect(address: &str, secret: &[u8]) -> (Client, Hello) {
        let mut client = Client::open(address);
        client.send(&Header::new(Kind::Hello, 0), &hello(secret));
        let answer = client.next().expect("a frame");
        assert_eq!(answer.header.kind, Kind::Hello, "{answer:?}");
        let hello = Hello::decode(&answer.payload[..]).expect("a HELLO");
        (client, hello)
    }

    pub fn send(&mut self, header: &Header, message: &impl Message) {
        self.send_bytes(header, &message.encode_to_vec());
    }

    pub fn send_bytes(&mut self, header: &Header, payload: &[u8]) {
        let mut outbox = Outbox::new();
        outbox.push_bytes(header, payload).expect("fits");
        self.socket.write_all(&outbox.take().expect("queued")).expect("write");
    }

    /// The next frame, whatever it is; nothing once the daemon has closed the link.
    pub fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.inbox.next().expect("frames") {
                let header = frame.header;
                return Some(Frame { header, payload: frame.payload.to_vec() });
            }
            let mut bytes = [0; 64 * 1024];
            match self.socket.read(&mut bytes) {
                Ok(0) => return None,
                Ok(length) => self.inbox.extend(&bytes[..length]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing came in time: {error}"),
            }
        }
    }

    /// The next frame that belongs to a request; PINGs on the way are answered.
    pub fn next_of_requests(&mut self) -> Frame {
        loop {
            let frame = self.next().expect("the link is open");
            match frame.header.kind {
                Kind::Ping => {
                    self.send_bytes(&Header::new(Kind::Pong, frame.header.request_id), &[]);
                }
                Kind::Pong => {}
                _ => return frame,
            }
        }
    }

    /// Sends a request with 30 s to live and returns its id.
    pub fn ask(&mut self, method: Method, flags: Flags, message: &impl Message) -> u64 {
        self.ask_within(method, flags, 30_000, message)
    }

    pub fn ask_within(
        &mut self,
        method: Method,
        flags: Flags,
        deadline_ms: u32,
        message: &impl Message,
    ) -> u64 {
        self.last_id += 1;
        let id = self.last_id;
        let header = Header::new(Kind::Request, id).flags(flags);
        let header = Header { method: method as u16, deadline_ms, ..header };
        self.send(&header, message);
        id
    }

    /// Asks and waits for the answer.
    pub fn call<A: Message + Default>(
        &mut self,
        method: Method,
        message: &impl Message,
    ) -> Result<A, Failure> {
        let id = self.ask(method, Flags::NONE, message);
        let answer = self.next_of_requests();
        assert_eq!((answer.header.kind, answer.header.request_id), (Kind::Response, id));
        if answer.header.flags.has(Flags::ERROR) {
            return Err(answer.failure());
        }
        Ok(A::decode(&answer.payload[..]).expect("an answer"))
    }

    /// Whether the daemon and its stores serve.
    pub fn ready(&mut self) -> ReadyAnswer {
        self.call(Method::Ready, &ReadyRequest {}).expect("an answer")
    }

    /// Registers somebody new and logs in; returns the caller and the user.
    pub fn register(&mut self, username: &str) -> (Caller, User) {
        let caller = Caller { address: vec![127, 0, 0, 1], ..Caller::default() };
        let create = CreateUserRequest {
            caller: Some(caller.clone()),
            username: username.into(),
            password: "correct horse".into(),
            nickname: None,
        };
        let user: User = self.call(Method::CreateUser, &create).expect("registered");
        let login = LoginRequest {
            caller: Some(caller.clone()),
            username: username.into(),
            password: "correct horse".into(),
        };
        let answer: LoginAnswer = self.call(Method::Login, &login).expect("logged in");
        (Caller { token: answer.token, ..caller }, user)
    }

    /// Registers many users at once and logs them in; returns a caller for each.
    pub fn register_many(&mut self, prefix: &str, count: usize) -> Vec<Caller> {
        let caller = Caller { address: vec![127, 0, 0, 1], ..Caller::default() };
        let name = |number: usize| format!("{prefix}.{number}");
        self.call_many(count, Method::CreateUser, |number| CreateUserRequest {
            caller: Some(caller.clone()),
            username: name(number),
            password: "correct horse".into(),
            nickname: None,
        });
        let logins = self.call_many(count, Method::Login, |number| LoginRequest {
            caller: Some(caller.clone()),
            username: name(number),
            password: "correct horse".into(),
        });
        let token = |login: Frame| LoginAnswer::decode(&login.payload[..]).expect("a login").token;
        logins.into_iter().map(|login| Caller { token: token(login), ..caller.clone() }).collect()
    }

    /// Asks this many times, as many at once as hashes may wait, and waits for all to succeed.
    fn call_many<Q: Message>(
        &mut self,
        count: usize,
        method: Method,
        message: impl Fn(usize) -> Q,
    ) -> Vec<Frame> {
        let (mut asked, mut answers) = (0, Vec::new());
        while answers.len() < count {
            while asked < count.min(answers.len() + 200) {
                self.ask(method, Flags::NONE, &message(asked));
                asked += 1;
            }
            let answer = self.next_of_requests();
            assert!(!answer.header.flags.has(Flags::ERROR), "{}", answer.failure());
            answers.push(answer);
        }
        answers
    }

    /// Gives a request up.
    pub fn cancel(&mut self, id: u64) {
        self.send(&Header::new(Kind::Cancel, id), &Empty {});
    }

    /// Sends an item of a request's body.
    pub fn item(&mut self, id: u64, flags: Flags, bytes: &[u8]) {
        self.send_bytes(&Header::new(Kind::Push, id).flags(flags), bytes);
    }
}
