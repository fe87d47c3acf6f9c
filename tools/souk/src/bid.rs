//! `souk bid`: bids over the binary port, one frame at a time, to see what it says.

mod login;
mod words;

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;

use souk_process::say;
use souk_proto::tlv::{Asked, Bid, Told, Type};

use crate::{Failed, limits};

/// Flags of `souk bid`.
#[derive(clap::Args)]
pub struct BidArgs {
    /// The auction's number
    #[arg(value_name = "AUCTION")]
    auction: u64,
    /// How much, in minor units of the auction's currency
    #[arg(value_name = "AMOUNT", required_unless_present = "watch", conflicts_with = "watch")]
    amount: Option<i64>,
    /// Let the server bid for you up to this (sent as BID64)
    #[arg(long, value_name = "MAX", conflicts_with = "watch")]
    max: Option<i64>,
    /// Name the bid by a number, so that it can be repeated (sent as BID64)
    #[arg(long, value_name = "NUMBER", conflicts_with = "watch")]
    tag: Option<u64>,
    /// Print what becomes of the auction, until Ctrl-C or its end
    #[arg(long)]
    watch: bool,
    /// With --watch: the last sequence number that you know
    #[arg(long, value_name = "SEQUENCE", default_value_t = 0, requires = "watch")]
    after: u64,
    #[command(flatten)]
    who: Who,
    /// The binary port, the front's setting [bids] listen
    #[arg(long, value_name = "HOST:PORT", default_value = limits::BIDS_ADDRESS)]
    connect: String,
    /// Print each frame in hex, too
    #[arg(long, short)]
    verbose: bool,
}

/// Whose bid it is.
#[derive(clap::Args)]
pub struct Who {
    /// Log in as this user
    #[arg(long, value_name = "NAME", required_unless_present = "token", conflicts_with = "token")]
    user: Option<String>,
    /// File with the password; asked for if absent, or read from standard input
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// Where to log in
    #[arg(long, value_name = "URL", default_value = limits::HTTP_URL)]
    url: String,
    /// The token of a session; others on this machine see it in the list of processes
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
}

/// Bids, or watches.
pub fn run(args: &BidArgs) -> Result<ExitCode, Failed> {
    let token = match &args.who.token {
        Some(token) => token.clone(),
        None => login::token(&args.who)?,
    };
    let mut port = Port::connect(&args.connect, args.verbose)?;
    port.send(&Asked::Auth(token.as_bytes()))?;
    let user = match port.next()? {
        Told::Auth { user, .. } => user,
        other => return Err(Failed(format!("not logged in: {}", words::told(&other)))),
    };
    if args.watch {
        port.send(&Asked::Subscribe { auction: args.auction, after: args.after })?;
        return port.watch();
    }
    let amount = args.amount.ok_or("give an AMOUNT, or --watch")?;
    let (max, tag) = (args.max.unwrap_or(0), args.tag.unwrap_or(0));
    let short = u32::try_from(args.auction).is_ok() && u32::try_from(user).is_ok();
    let plain = short && args.max.is_none() && args.tag.is_none();
    let kind = if plain { Type::Bid } else { Type::Bid64 };
    port.send(&Asked::Bid(Bid { kind, auction: args.auction, user, amount, max, tag }))?;
    let answer = port.next()?;
    let text = words::told(&answer);
    if matches!(answer, Told::Result(_)) {
        port.say(&text);
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failed(text))
}

/// A connection to the binary port.
struct Port {
    socket: TcpStream,
    name: String,
    read: Vec<u8>,
    used: usize,
    verbose: bool,
}

impl Port {
    fn connect(name: &str, verbose: bool) -> Result<Port, Failed> {
        let failed = |why: &dyn std::fmt::Display| {
            Failed(format!(
                "cannot connect to {name}: {why}. The address is the front's setting [bids] \
                 listen; `souk up` prints it"
            ))
        };
        let mut addresses = name.to_socket_addrs().map_err(|error| failed(&error))?;
        let address = addresses.next().ok_or_else(|| failed(&"it has no address"))?;
        let socket = TcpStream::connect_timeout(&address, limits::BID_PAUSE_MAX)
            .map_err(|error| failed(&error))?;
        socket.set_read_timeout(Some(limits::BID_PAUSE_MAX))?;
        let name = name.to_owned();
        Ok(Port { socket, name, read: Vec::new(), used: 0, verbose })
    }

    fn send(&mut self, frame: &Asked) -> Result<(), Failed> {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        if self.verbose {
            // A token opens its session: of AUTH the head alone is shown.
            let secret = matches!(frame, Asked::Auth(_));
            let shown = if secret { &bytes[..2] } else { &bytes[..] };
            say(format_args!("> {}{}", words::hex(shown), if secret { " …" } else { "" }));
            say(format_args!("  {}", words::asked(frame)));
        }
        self.socket.write_all(&bytes).map_err(|error| self.lost(&error))
    }

    /// The next frame.
    fn next(&mut self) -> Result<Told<'_>, Failed> {
        self.fill()?;
        let bytes = &self.read[..self.used];
        let (told, _) = Told::decode(bytes)?.ok_or("half a frame")?;
        if self.verbose {
            say(format_args!("< {}", words::hex(bytes)));
            say(format_args!("  {}", words::told(&told)));
        }
        Ok(told)
    }

    /// Reads until a frame is there, with `used` as its length.
    fn fill(&mut self) -> Result<(), Failed> {
        self.read.drain(..std::mem::take(&mut self.used));
        loop {
            if let Some((_, used)) = Told::decode(&self.read)? {
                self.used = used;
                return Ok(());
            }
            let mut chunk = [0; 512];
            match self.socket.read(&mut chunk) {
                Ok(0) => return Err(Failed(format!("{} closed the connection", self.name))),
                Ok(count) => self.read.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let pause = limits::BID_PAUSE_MAX;
                    return Err(Failed(format!("{} said nothing for {pause:?}", self.name)));
                }
                Err(error) => return Err(self.lost(&error)),
            }
        }
    }

    fn lost(&self, error: &std::io::Error) -> Failed {
        Failed(format!("the connection to {} is lost: {error}", self.name))
    }

    /// Prints a line, unless it was printed with its frame.
    fn say(&self, text: &str) {
        if !self.verbose {
            say(text);
        }
    }

    /// Prints events until the auction is over.
    fn watch(&mut self) -> Result<ExitCode, Failed> {
        loop {
            let told = self.next()?;
            let text = words::told(&told);
            match told {
                Told::Event(event) => {
                    // The next one may be hours away.
                    self.socket.set_read_timeout(None)?;
                    self.say(&text);
                    // Ended with an outcome, or cancelled.
                    if event.state == 3 || event.state == 2 && event.outcome != 0 {
                        return Ok(ExitCode::SUCCESS);
                    }
                }
                Told::Error(_) | Told::Busy(_) => return Err(Failed(text)),
                _ => {}
            }
        }
    }
}
