//! The events of a connection's subscriptions.

use super::calls::Asker;
use super::session::Session;
use souk_proto::Code;
use std::task::Context;

#[derive(Default)]
pub struct Feeds {
    refused: Vec<u64>,
}

impl Feeds {
    pub fn begin(&mut self, _: &Asker, _: &(u64, String), auction: u64, _: u128) {
        self.refused.push(auction);
    }

    pub fn end(&mut self, auction: u64) {
        self.refused.retain(|other| *other != auction);
    }

    pub fn poll(&mut self, session: &mut Session, _: &mut Context<'_>) {
        for auction in self.refused.drain(..) {
            session.unsubscribed(auction, &Code::NotImplemented.into());
        }
    }
}
