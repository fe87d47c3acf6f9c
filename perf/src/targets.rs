//! What Souk is required to reach, for the parts that exist.

/// One required figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Required {
    /// What it is about.
    pub what: &'static str,
    /// The scenario that measures it.
    pub scenario: &'static str,
    /// Whether the cache is on.
    pub cache: bool,
    /// The load.
    pub load: Pace,
    /// What must hold.
    pub assert: &'static str,
}

/// How a required figure is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As fast as it answers: the highest rate.
    Closed,
    /// At the scenario's own rate or shape.
    Own,
    /// At half of the highest rate that the entry before it, of the same scenario, has reached.
    Half,
}

/// Users that the figures are required with.
pub const USERS: u64 = 10_000_000;

/// Accounts: 1,000 connections, at least 200 users, cached and not; and what an open connection
/// costs, and a burst of them.
pub const ACCOUNTS: [Required; 9] = [
    // First: what other runs leave in the front's memory would hide what a connection adds.
    Required {
        what: "memory of an idle connection, 10,000 open",
        scenario: "herd",
        cache: true,
        load: Pace::Own,
        assert: "idle_kib<8,errors==0",
    },
    Required {
        what: "profiles of 200 users, 1,000 connections, cached",
        scenario: "profile-hot",
        cache: true,
        load: Pace::Closed,
        assert: "rps>=16000,errors==0,server_us<14",
    },
    Required {
        what: "the same at half of that rate, open loop",
        scenario: "profile-hot",
        cache: true,
        load: Pace::Half,
        assert: "p99<3ms,p99.9<10ms,errors==0",
    },
    Required {
        what: "own profiles of 200 sessions, cached",
        scenario: "me",
        cache: true,
        load: Pace::Closed,
        assert: "rps>=16000,errors==0",
    },
    Required {
        what: "logins of 200 users, password verified before",
        scenario: "login-warm",
        cache: true,
        load: Pace::Closed,
        assert: "rps>=16000,errors==0",
    },
    Required {
        what: "80 % reads by Zipf's law, logins, edits, pictures",
        scenario: "mixed",
        cache: true,
        load: Pace::Own,
        assert: "p99<500ms,errors==0",
    },
    Required {
        what: "1,000 connections at once, unpaced",
        scenario: "storm-1000",
        cache: true,
        load: Pace::Own,
        assert: "answered>=1000,errors==0",
    },
    Required {
        what: "10,000 connections at once, unpaced",
        scenario: "storm-10000",
        cache: true,
        load: Pace::Own,
        assert: "answered>=10000,errors==0",
    },
    Required {
        what: "profiles of all users, no cache",
        scenario: "profile-uniform",
        cache: false,
        load: Pace::Closed,
        assert: "rps>=8000,errors==0",
    },
];

/// The leaderboard: 9,000 requests a second for the first page, as many for ranks, and 10,000
/// durable changes of ratings, a hundred in a request.
pub const LEADERBOARD: [Required; 4] = [
    Required {
        what: "first page of the leaderboard, 1,000 connections",
        scenario: "board",
        cache: true,
        load: Pace::Closed,
        assert: "rps>=9000,errors==0",
    },
    Required {
        what: "ranks, 1,000 connections",
        scenario: "rank",
        cache: true,
        load: Pace::Closed,
        assert: "rps>=9000,errors==0",
    },
    Required {
        what: "the same at half of that rate, open loop",
        scenario: "rank",
        cache: true,
        load: Pace::Half,
        assert: "p99<3ms,errors==0",
    },
    Required {
        what: "ratings, a hundred in a request",
        scenario: "rates",
        cache: true,
        load: Pace::Closed,
        assert: "rps>=100,errors==0",
    },
];

/// Auctions: durable bids over the binary port, on many auctions and on one, and over HTTP; and
/// those who watch.
pub const AUCTIONS: [Required; 6] = [
    Required {
        what: "10,000 watchers of one auction, 50 bids a second",
        scenario: "watchers",
        cache: true,
        load: Pace::Own,
        assert: "p99<100ms,idle_kib<12,errors==0",
    },
    Required {
        what: "bids over the binary port on 1,000 auctions, 1,000 connections",
        scenario: "bids",
        cache: true,
        load: Pace::Closed,
        assert: "rps>=30000,errors==0",
    },
    Required {
        what: "the same at half of that rate, open loop",
        scenario: "bids",
        cache: true,
        load: Pace::Half,
        assert: "p99<20ms,errors==0",
    },
    Required {
        what: "bids over the binary port on one auction, 1,000 connections",
        scenario: "bids-hot",
        cache: true,
        load: Pace::Closed,
        assert: "rps>=15000,errors==0",
    },
    Required {
        what: "the same at half of that rate, open loop",
        scenario: "bids-hot",
        cache: true,
        load: Pace::Half,
        assert: "p99<20ms,errors==0",
    },
    Required {
        what: "bids over HTTP on 1,000 auctions, 1,000 connections",
        scenario: "bids-http",
        cache: true,
        load: Pace::Closed,
        assert: "rps>=10000,errors==0",
    },
];

/// All required figures, in the order in which they are measured.
pub fn all() -> impl Iterator<Item = &'static Required> {
    ACCOUNTS.iter().chain(&LEADERBOARD).chain(&AUCTIONS)
}

#[cfg(test)]
mod tests {
    use super::{ACCOUNTS, Pace, Required, all};
    use crate::{assertion, scenario};

    #[test]
    fn memory_is_looked_at_before_anything_else_has_grown_it() {
        let place = |scenario| ACCOUNTS.iter().position(|one| one.scenario == scenario);
        assert_eq!(place("herd"), Some(0));
    }

    #[test]
    fn every_requirement_can_be_run() {
        let every: Vec<&Required> = all().collect();
        for (index, required) in every.iter().enumerate() {
            scenario::find(required.scenario).expect("shipped");
            assert!(!assertion::parse(required.assert).expect("conditions").is_empty());
            if required.load == Pace::Half {
                let before = every[index - 1];
                assert_eq!((before.scenario, before.load), (required.scenario, Pace::Closed));
            }
        }
    }
}
