//! Budgets of wrong passwords, so that nobody can guess one and no stranger can lock an owner out.
//!
//! After the OWASP note "Slow Down Online Guessing Attacks with Device Cookies": a device that
//! logged in to an account before holds a signed token and has a budget of its own for that
//! account. All devices of an account together have ten times as much, so that somebody who could
//! mint device tokens does not multiply the guesses. Everybody else shares the account's budget for
//! strangers, and has one per address over all accounts. Strangers' failures therefore never touch
//! the owner's device.
//!
//! A budget is checked before a password is hashed and charged when the password was wrong, both
//! on the hashing thread, so that attempts sent at once overshoot it by no more than the number of
//! those threads; what they overshoot is a debt that delays the next attempt.

use crate::config::GuessingSettings;
use crate::limiter::{Buckets, Rate};
use crate::limits::{GUESS_BUCKETS_MAX, GUESSING_DEVICES};
use souk_proto::{Code, Failure};
use std::time::Duration;

/// Who tries a password, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// A device that logged in to this very account before.
    Device {
        /// The account's user.
        user_id: u64,
        /// The nonce of its token.
        nonce: [u8; 16],
    },
    /// Anybody else.
    Stranger {
        /// The account, whether it exists or not; see [`Guesses::account`].
        account: [u8; 16],
        /// The address; see [`crate::limiter::address_key`].
        address: u128,
    },
    /// Somebody logged in who confirms a password.
    Session {
        /// The session's id.
        id: [u8; 16],
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Device([u8; 16]),
    /// All devices of this user.
    Devices(u64),
    Account([u8; 16]),
    Address(u128),
    Session([u8; 16]),
}

/// The budgets of the whole process.
#[derive(Debug)]
pub struct Guesses {
    account: Rate,
    address: Rate,
    device: Rate,
    /// Of all devices of one account.
    devices: Rate,
    buckets: Buckets<Key>,
    name_key: [u8; 32],
}

impl Guesses {
    /// Budgets as the settings say. `name_key` is random and lives as long as the process.
    pub fn new(settings: &GuessingSettings, name_key: [u8; 32]) -> Guesses {
        let rate = |budget, refill_s| Rate::every(Duration::from_secs(u64::from(refill_s)), budget);
        let device_refill = Duration::from_secs(u64::from(settings.device_refill_s));
        let devices_budget = settings.device_budget.saturating_mul(GUESSING_DEVICES);
        Guesses {
            account: rate(settings.account_budget, settings.account_refill_s),
            address: rate(settings.address_budget, settings.address_refill_s),
            device: rate(settings.device_budget, settings.device_refill_s),
            devices: Rate::every(device_refill / GUESSING_DEVICES, devices_budget),
            buckets: Buckets::new(GUESS_BUCKETS_MAX),
            name_key,
        }
    }

    /// The account of an attempt, by the name that was tried: names that nobody has are budgeted
    /// like others, so that the budget does not tell which names exist.
    pub fn account(&self, username: &str) -> [u8; 16] {
        let hash = blake3::keyed_hash(&self.name_key, username.as_bytes());
        let mut account = [0; 16];
        account.copy_from_slice(&hash.as_bytes()[..16]);
        account
    }

    /// Whether there is budget for one more attempt. `now_ns` is monotonic.
    ///
    /// # Errors
    /// `too_many_failures`, with the time until there is.
    pub fn check(&self, attempt: &Attempt, now_ns: u64) -> Result<(), Failure> {
        for (key, rate) in self.budgets(attempt).into_iter().flatten() {
            if let Err(wait) = rate.check(self.buckets.peek(key), now_ns) {
                return Err(Failure::new(Code::TooManyFailures).retry_after(wait));
            }
        }
        Ok(())
    }

    /// Counts a wrong password.
    pub fn charge(&self, attempt: &Attempt, now_ns: u64) {
        for (key, rate) in self.budgets(attempt).into_iter().flatten() {
            self.buckets.change(key, |arrival| rate.charge(arrival, now_ns));
        }
    }

    fn budgets(&self, attempt: &Attempt) -> [Option<(Key, Rate)>; 2] {
        match *attempt {
            Attempt::Device { user_id, nonce } => [
                Some((Key::Device(nonce), self.device)),
                Some((Key::Devices(user_id), self.devices)),
            ],
            Attempt::Session { id } => [Some((Key::Session(id), self.device)), None],
            Attempt::Stranger { account, address } => [
                Some((Key::Account(account), self.account)),
                Some((Key::Address(address), self.address)),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Attempt, Guesses};
    use crate::config::GuessingSettings;
    use souk_proto::Code;

    const SECOND: u64 = 1_000_000_000;

    fn guesses() -> Guesses {
        let settings = GuessingSettings {
            account_budget: 3,
            account_refill_s: 60,
            address_budget: 5,
            address_refill_s: 10,
            device_budget: 2,
            device_refill_s: 60,
        };
        Guesses::new(&settings, [1; 32])
    }

    fn stranger(guesses: &Guesses, name: &str, address: u128) -> Attempt {
        Attempt::Stranger { account: guesses.account(name), address }
    }

    fn device(user_id: u64, nonce: u8) -> Attempt {
        Attempt::Device { user_id, nonce: [nonce; 16] }
    }

    #[test]
    fn strangers_spend_the_account_budget_from_however_many_addresses() {
        let guesses = guesses();
        for address in 0..3 {
            let attempt = stranger(&guesses, "ann", address);
            assert!(guesses.check(&attempt, 0).is_ok());
            guesses.charge(&attempt, 0);
        }
        let refused = guesses.check(&stranger(&guesses, "ann", 99), 0).expect_err("spent");
        assert_eq!((refused.code, refused.retry_after_ms), (Code::TooManyFailures, 60_000));
        assert!(guesses.check(&stranger(&guesses, "bob", 99), 0).is_ok());
        assert!(guesses.check(&stranger(&guesses, "ann", 99), 60 * SECOND).is_ok());
    }

    #[test]
    fn one_address_spends_its_budget_over_all_accounts() {
        let guesses = guesses();
        for name in ["a", "b", "c", "d", "e"] {
            guesses.charge(&stranger(&guesses, name, 7), 0);
        }
        assert!(guesses.check(&stranger(&guesses, "f", 7), 0).is_err());
        assert!(guesses.check(&stranger(&guesses, "f", 8), 0).is_ok());
    }

    #[test]
    fn a_known_device_is_untouched_by_strangers_and_has_a_budget_of_its_own() {
        let guesses = guesses();
        for _ in 0..50 {
            guesses.charge(&stranger(&guesses, "ann", 7), 0);
        }
        let (mine, other) = (device(1, 1), device(1, 2));
        for _ in 0..2 {
            assert!(guesses.check(&mine, 0).is_ok());
            guesses.charge(&mine, 0);
        }
        assert!(guesses.check(&mine, 0).is_err());
        assert!(guesses.check(&other, 0).is_ok());
    }

    #[test]
    fn minted_devices_do_not_multiply_the_guesses_for_an_account() {
        let guesses = guesses();
        let guess = |user_id, nonce, now| {
            let attempt = device(user_id, nonce);
            guesses.check(&attempt, now).map(|()| guesses.charge(&attempt, now))
        };
        let taken = (0..100).filter(|nonce| guess(1, *nonce, 0).is_ok()).count();
        assert_eq!(taken, 20, "ten times the budget of one device");
        let refused = guess(1, 200, 0).expect_err("spent");
        assert_eq!((refused.code, refused.retry_after_ms), (Code::TooManyFailures, 6_000));
        assert!(guess(2, 201, 0).is_ok(), "another account");
        assert!(guesses.check(&stranger(&guesses, "ann", 7), 0).is_ok());
        assert!(guess(1, 200, 6 * SECOND).is_ok());
    }

    #[test]
    fn checking_costs_nothing() {
        let guesses = guesses();
        let attempt = stranger(&guesses, "ann", 7);
        assert!((0..100).all(|_| guesses.check(&attempt, 0).is_ok()));
    }
}
