//! Argon2id (RFC 9106) and its PHC strings, on memory that its owner keeps.

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use subtle::ConstantTimeEq;

/// Length of new hashes, bytes (RFC 9106, section 4).
const OUTPUT_LEN: usize = 32;

/// Length of a salt, bytes (RFC 9106, section 3.1).
pub const SALT_LEN: usize = 16;

/// Most memory that a stored hash may ask for, KiB: the largest that the settings take.
const MEMORY_KIB_MAX: u32 = 1024 * 1024;

/// How new passwords are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Memory, KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

/// A stored hash that cannot be understood, or parameters that Argon2 refuses.
#[derive(Debug, thiserror::Error)]
#[error("password hash: {0}")]
pub struct HashError(String);

impl From<argon2::Error> for HashError {
    fn from(error: argon2::Error) -> HashError {
        HashError(error.to_string())
    }
}

impl From<argon2::password_hash::Error> for HashError {
    fn from(error: argon2::password_hash::Error) -> HashError {
        HashError(error.to_string())
    }
}

impl From<argon2::password_hash::phc::Error> for HashError {
    fn from(error: argon2::password_hash::phc::Error) -> HashError {
        HashError(error.to_string())
    }
}

/// Makes and verifies hashes, one at a time, on memory that is kept between them.
#[derive(Debug)]
pub struct Hasher {
    policy: Policy,
    memory: Vec<Block>,
}

impl Hasher {
    /// A hasher for new passwords under `policy`. Its memory is taken at the first use.
    pub fn new(policy: Policy) -> Hasher {
        Hasher { policy, memory: Vec::new() }
    }

    /// The PHC string for a new password.
    ///
    /// # Errors
    /// If Argon2 refuses the parameters; settings that were checked do not come here.
    pub fn make(&mut self, password: &str, salt: &[u8; SALT_LEN]) -> Result<String, HashError> {
        let params = self.policy.params(OUTPUT_LEN)?;
        let mut output = [0; OUTPUT_LEN];
        self.fill(Algorithm::Argon2id, Version::V0x13, params, password, salt, &mut output)?;
        self.policy.phc(salt, &output)
    }

    /// Whether this is the password of the PHC string. It costs what the string's parameters say.
    ///
    /// # Errors
    /// If the string is no Argon2 hash or asks for more memory than any setting allows.
    pub fn verify(&mut self, password: &str, phc: &str) -> Result<bool, HashError> {
        let phc = PasswordHash::new(phc)?;
        let algorithm = Algorithm::new(phc.algorithm)?;
        let version = match phc.version {
            Some(version) => Version::try_from(version)?,
            None => Version::V0x10,
        };
        let params = Params::try_from(&phc)?;
        let (Some(salt), Some(stored)) = (&phc.salt, &phc.hash) else {
            return Err(HashError("salt or hash is missing".into()));
        };
        if params.m_cost() > MEMORY_KIB_MAX {
            return Err(HashError(format!("{} KiB are too much memory", params.m_cost())));
        }
        let mut output = [0; Output::MAX_LENGTH];
        let output = &mut output[..stored.len()];
        self.fill(algorithm, version, params, password, salt, output)?;
        Ok(bool::from(output.ct_eq(stored.as_bytes())))
    }

    /// Gives the memory back to the system; the next hash takes it again.
    pub fn release(&mut self) {
        self.memory = Vec::new();
    }

    fn fill(
        &mut self,
        algorithm: Algorithm,
        version: Version,
        params: Params,
        password: &str,
        salt: &[u8],
        output: &mut [u8],
    ) -> Result<(), HashError> {
        let (blocks, usual) = (params.block_count(), self.policy.blocks());
        if self.memory.len() < blocks {
            self.memory.resize(blocks, Block::default());
        }
        let argon2 = Argon2::new(algorithm, version, params);
        argon2.hash_password_into_with_memory(
            password.as_bytes(),
            salt,
            output,
            &mut self.memory,
        )?;
        // A hash made under a larger policy must not keep its memory for good.
        if blocks > usual {
            self.memory.truncate(usual);
            self.memory.shrink_to_fit();
        }
        Ok(())
    }
}

impl Policy {
    /// Whether the PHC string was made under this policy.
    pub fn made(&self, phc: &str) -> bool {
        let Ok(phc) = PasswordHash::new(phc) else { return false };
        let Ok(params) = Params::try_from(&phc) else { return false };
        phc.algorithm.as_str() == "argon2id"
            && phc.version == Some(Version::V0x13.into())
            && (params.m_cost(), params.t_cost(), params.p_cost())
                == (self.memory_kib, self.passes, self.lanes)
            && phc.hash.is_some_and(|hash| hash.len() == OUTPUT_LEN)
    }

    /// A PHC string under this policy that no password fits: verifying against it costs what
    /// verifying against a real one costs.
    ///
    /// # Errors
    /// If Argon2 refuses the parameters.
    pub fn nobody(&self, noise: &[u8; SALT_LEN + OUTPUT_LEN]) -> Result<String, HashError> {
        self.params(OUTPUT_LEN)?;
        self.phc(&noise[..SALT_LEN], &noise[SALT_LEN..])
    }

    fn params(&self, output_len: usize) -> Result<Params, HashError> {
        Ok(Params::new(self.memory_kib, self.passes, self.lanes, Some(output_len))?)
    }

    /// Memory in blocks of 1 KiB.
    fn blocks(&self) -> usize {
        self.params(OUTPUT_LEN).map_or(0, |params| params.block_count())
    }

    fn phc(&self, salt: &[u8], output: &[u8]) -> Result<String, HashError> {
        let params = self.params(output.len())?;
        let phc = PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: (&params).try_into()?,
            salt: Some(Salt::new(salt)?),
            hash: Some(Output::new(output)?),
        };
        Ok(phc.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::{Hasher, Policy};

    const SMALL: Policy = Policy { memory_kib: 64, passes: 1, lanes: 1 };
    const LARGER: Policy = Policy { memory_kib: 256, passes: 2, lanes: 2 };

    #[test]
    fn a_password_fits_its_own_hash_and_no_other() {
        let mut hasher = Hasher::new(SMALL);
        let phc = hasher.make("correct horse", &[1; 16]).expect("hash");
        assert!(phc.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{phc}");
        assert!(hasher.verify("correct horse", &phc).expect("verify"));
        assert!(!hasher.verify("correct hors", &phc).expect("verify"));
        assert!(!hasher.verify("", &phc).expect("verify"));
    }

    #[test]
    fn the_hash_is_the_one_that_the_argon2_crate_makes() {
        use argon2::{Algorithm, Argon2, Params, Version};
        let params = Params::new(64, 1, 1, Some(32)).expect("params");
        let mut expected = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(b"password", &[7; 16], &mut expected)
            .expect("hash");
        let phc = Hasher::new(SMALL).make("password", &[7; 16]).expect("hash");
        let tail = data_encoding::BASE64_NOPAD.encode(&expected);
        assert!(phc.ends_with(&tail), "{phc} {tail}");
    }

    #[test]
    fn a_hash_of_another_policy_is_verified_and_its_memory_given_back() {
        let phc = Hasher::new(LARGER).make("password", &[2; 16]).expect("hash");
        let mut hasher = Hasher::new(SMALL);
        assert!(hasher.verify("password", &phc).expect("verify"));
        assert_eq!(hasher.memory.len(), 64);
        assert!(!SMALL.made(&phc));
        assert!(LARGER.made(&phc));
    }

    #[test]
    fn released_memory_is_taken_again_by_the_next_hash() {
        let mut hasher = Hasher::new(SMALL);
        let phc = hasher.make("password", &[2; 16]).expect("hash");
        hasher.release();
        assert_eq!(hasher.memory.capacity(), 0);
        assert!(hasher.verify("password", &phc).expect("verify"));
    }

    #[test]
    fn nobody_has_the_dummy_hash_and_it_costs_the_same_parameters() {
        let phc = SMALL.nobody(&[5; 48]).expect("hash");
        assert!(SMALL.made(&phc));
        assert!(!Hasher::new(SMALL).verify("password", &phc).expect("verify"));
    }

    #[test]
    fn what_is_no_argon2_hash_is_an_error() {
        let mut hasher = Hasher::new(SMALL);
        for bad in ["", "password", "$2b$10$abcdefghijklmnopqrstuv", "$argon2id$v=19$m=64,t=1,p=1"]
        {
            assert!(hasher.verify("password", bad).is_err(), "{bad}");
        }
        let greedy =
            "$argon2id$v=19$m=4194304,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA";
        assert!(hasher.verify("password", greedy).is_err());
    }
}
