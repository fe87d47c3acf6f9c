//! A plain HTTP client for what happens before a run: logging people in, looking at answers.

use crate::Failed;
use std::time::Duration;
use ureq::Agent;
use ureq::http::{Request, Response};

/// How long one preparing request may take: a login may wait behind a full queue of others.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client of one server.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    base: String,
}

/// What was answered.
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// The body, whatever it is.
    pub body: Vec<u8>,
}

impl Client {
    /// A client of the server at `base`, `http://host:port`.
    #[must_use]
    pub fn new(base: &str) -> Client {
        let config = Agent::config_builder().http_status_as_error(false);
        let agent = config.timeout_global(Some(PATIENCE)).build().into();
        Client { agent, base: base.to_owned() }
    }

    /// Asks, with a body of this type.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<(&str, &[u8])>,
    ) -> Result<Answer, Failed> {
        let url = format!("{}{path}", self.base);
        let mut request = Request::builder().method(method).uri(&url);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answer = match body {
            None => request.body(()).map_err(Failed::new).map(|r| self.agent.run(r)),
            Some((kind, body)) => {
                let request = request.header("content-type", kind);
                request.body(body).map_err(Failed::new).map(|r| self.agent.run(r))
            }
        };
        let answer = answer?.map_err(|why| Failed::new(format!("{method} {url}: {why}")))?;
        read(answer).map_err(|why| Failed::new(format!("{method} {url}: {why}")))
    }
}

fn read(mut answer: Response<ureq::Body>) -> Result<Answer, ureq::Error> {
    let body = answer.body_mut().read_to_vec()?;
    Ok(Answer { status: answer.status().as_u16(), body })
}
