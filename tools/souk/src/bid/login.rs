//! Logging in over HTTP.

use std::io::{BufRead, IsTerminal};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde_json::{Value, json};

use super::Who;
use crate::{Failed, limits};

/// The token of a new session.
pub fn token(who: &Who) -> Result<String, Failed> {
    let username = who.user.as_deref().ok_or("give --user or --token")?;
    let password = password(who)?;
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(limits::BID_PAUSE_MAX))
        .build()
        .into();
    let url = format!("{}/api/v1/login", who.url.trim_end_matches('/'));
    let failed = |why: String| Failed(format!("cannot log in at {url}: {why}"));
    let body = json!({"username": username, "password": password}).to_string();
    let mut response = agent
        .post(&url)
        .header("content-type", "application/json")
        .send(&body)
        .map_err(|error| failed(format!("{error}. Name the front with --url")))?;
    let text = response.body_mut().read_to_string().map_err(|error| failed(error.to_string()))?;
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    match answer["token"].as_str() {
        Some(token) => Ok(token.to_owned()),
        None => {
            let status = response.status().to_string();
            Err(failed(answer["detail"].as_str().map_or(status, str::to_owned)))
        }
    }
}

/// The password: from the file, from the terminal without showing it, or from standard input.
fn password(who: &Who) -> Result<String, Failed> {
    let text = match &who.password_file {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| format!("cannot read {}: {error}", file.display()))?,
        None => ask(who.user.as_deref().unwrap_or_default())?,
    };
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn ask(user: &str) -> Result<String, Failed> {
    let input = std::io::stdin();
    let mut line = String::new();
    if !input.is_terminal() {
        input.lock().read_line(&mut line)?;
        return Ok(line);
    }
    eprint!("Password of {user}: ");
    let usual = tcgetattr(&input)?;
    let mut silent = usual.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&input, OptionalActions::Now, &silent)?;
    let read = input.lock().read_line(&mut line);
    tcsetattr(&input, OptionalActions::Now, &usual)?;
    eprintln!();
    read?;
    Ok(line)
}
