//! Reads frames `type:u8 length:u8 payload` from bytes as they come, without a socket.

use super::Response;
use super::response::{Malformed, Read};

/// Longest frame: two bytes and a payload of 255.
const FRAME_MAX: usize = 257;

/// One connection's frames. Holds at most one.
#[derive(Debug)]
pub struct Frames {
    /// Types that are answers.
    answers: &'static [u8],
    /// A frame that came in parts, so far.
    held: Vec<u8>,
    /// What is held was given as an answer and goes at the next read.
    given: bool,
}

impl Frames {
    /// Frames of which these types are answers.
    pub fn new(answers: &'static [u8]) -> Frames {
        Frames { answers, held: Vec::new(), given: false }
    }

    /// Takes bytes up to the end of one answer; frames of other types are passed over.
    ///
    /// # Errors
    /// None: all bytes are frames. The type is that of other readers.
    pub fn read<'a>(&'a mut self, input: &'a [u8]) -> Result<Read<'a>, Malformed> {
        if std::mem::take(&mut self.given) {
            self.held.clear();
        }
        let mut used = 0;
        while used < input.len() {
            let rest = &input[used..];
            if self.held.is_empty()
                && let Some(length) = whole(rest)
            {
                used += length;
                if self.answers.contains(&rest[0]) {
                    return Ok(Read::Answer {
                        response: answer(&rest[..length]),
                        used,
                        close: false,
                    });
                }
                continue;
            }
            // One byte more tells the length, and then no more than the frame is taken.
            let wanted = self.held.get(1).map_or(2, |length| usize::from(*length) + 2);
            let taken = rest.len().min(wanted - self.held.len());
            self.held.extend_from_slice(&rest[..taken]);
            used += taken;
            if whole(&self.held) != Some(self.held.len()) {
                continue;
            }
            if self.answers.contains(&self.held[0]) {
                self.given = true;
                return Ok(Read::Answer { response: answer(&self.held), used, close: false });
            }
            self.held.clear();
        }
        Ok(Read::More)
    }

    /// Forgets what it has: the next bytes are those of a new connection.
    pub fn reset(&mut self) {
        self.held.clear();
        self.held.shrink_to(FRAME_MAX);
        self.given = false;
    }
}

/// The length of the frame that begins the bytes, if it is whole.
fn whole(bytes: &[u8]) -> Option<usize> {
    let length = usize::from(*bytes.get(1)?) + 2;
    (bytes.len() >= length).then_some(length)
}

fn answer(frame: &[u8]) -> Response<'_> {
    Response { status: u16::from(frame[0]), head: &[], body: &frame[2..] }
}

#[cfg(test)]
mod tests {
    use super::{Frames, Read};
    use proptest::prelude::*;

    proptest! {
        /// However the bytes are cut, the answers among the frames come out whole and in order.
        #[test]
        fn answers_come_out_whatever_the_cuts(
            frames in proptest::collection::vec(
                (0_u8..5, proptest::collection::vec(any::<u8>(), 0..=255)), 0..20),
            cuts in proptest::collection::vec(1_usize..400, 1..40),
        ) {
            let bytes: Vec<u8> = frames
                .iter()
                .flat_map(|(kind, payload)| {
                    let length = u8::try_from(payload.len()).expect("255 at most");
                    [&[*kind, length], &payload[..]].concat()
                })
                .collect();
            let mut reader = Frames::new(&[1, 3]);
            let (mut rest, mut heard) = (&bytes[..], Vec::new());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (mut piece, later) = rest.split_at((*cut).min(rest.len()));
                rest = later;
                while !piece.is_empty() {
                    match reader.read(piece).expect("frames") {
                        Read::More => break,
                        Read::Answer { response, used, .. } => {
                            heard.push((response.status, response.body.to_vec()));
                            piece = &piece[used..];
                        }
                    }
                }
            }
            let wanted: Vec<(u16, Vec<u8>)> = frames
                .into_iter()
                .filter(|(kind, _)| [1, 3].contains(kind))
                .map(|(kind, payload)| (u16::from(kind), payload))
                .collect();
            prop_assert_eq!(heard, wanted);
        }
    }
}
