//! A headless Chromium of our own, and a plain client beside it.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::PathBuf;
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::wd::{Capabilities, Locator};
use fantoccini::{Client, ClientBuilder};
use futures_util::FutureExt;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use souk_stack::{PrivateDir, Program, ProgramSpec, StackError, find_program};
use ureq::{Agent, Body, http};

use super::Scripts;

/// How long a step may take before the walk has failed; only a failing walk waits this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// How chromedriver says where it listens.
const DRIVER_READY: &str = "ChromeDriver was started successfully on port ";

/// Runs `steps` in a browser at `base`. When they fail, prints what the browser's console said.
/// A console error that is no mere answer of the API fails the walk, too: it is a broken script
/// or a resource that our own policy refused.
pub fn walk(base: &str, scripts: Scripts, steps: impl AsyncFnOnce(Window)) {
    let home = PrivateDir::new().expect("a private directory can be made");
    let driver = start_driver();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the runtime starts");
    runtime.block_on(async {
        let port = driver.address().trim_end_matches('.');
        let url = format!("http://127.0.0.1:{port}");
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(&home, scripts))
            .connect(&url)
            .await
            .expect("Chromium starts");
        let session = client.session_id().await.expect("the driver answers").expect("a session");
        let window = Window {
            client: client.clone(),
            driver: format!("{url}/session/{session}"),
            base: base.to_owned(),
            agent: agent(),
        };
        let outcome = AssertUnwindSafe(steps(window.clone())).catch_unwind().await;
        let console = window.console();
        if outcome.is_err() {
            let place = client.current_url().await.map(|url| url.to_string());
            eprintln!("the browser is at {place:?}; its console:\n{}", console.join("\n"));
        }
        client.close().await.expect("the browser closes");
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
        let broken: Vec<_> =
            console.iter().filter(|line| !line.contains("Failed to load resource")).collect();
        assert!(broken.is_empty(), "the console has errors: {broken:#?}");
    });
}

/// The driver asks for a free port of IPv6 and then wants the same one of IPv4, which a test with
/// thousands of connections may have: then it exits, and is started again.
const DRIVER_STARTS: usize = 10;

fn start_driver() -> Program {
    let missing = "a real browser is needed for this test. Install it: \
        apt-get install chromium chromium-driver";
    let driver = find_program("chromedriver").expect(missing);
    find_program("chromium").expect(missing);
    let spec = ProgramSpec {
        ready: DRIVER_READY.to_owned(),
        ..ProgramSpec::new("chromedriver", driver).arg("--port=0")
    };
    for _ in 1..DRIVER_STARTS {
        match Program::start(&spec) {
            Err(StackError::Exited { tail, .. }) if tail.contains("port not available") => {}
            started => return started.expect("chromedriver starts"),
        }
    }
    Program::start(&spec).expect("chromedriver finds a port")
}

fn capabilities(home: &PrivateDir, scripts: Scripts) -> Capabilities {
    let profile = format!("--user-data-dir={}", home.path().join("browser").display());
    let binary = find_program("chromium");
    let setting = if scripts == Scripts::Allowed { 1 } else { 2 };
    let options = json!({
        "binary": binary,
        "args": [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", "--window-size=1280,1040", "--lang=en-GB",
            "--force-prefers-reduced-motion",
            // A pipe, so that the browser ends when its driver does, however that ends.
            "--remote-debugging-pipe", profile,
        ],
        "prefs": { "profile.managed_default_content_settings.javascript": setting },
    });
    let mut capabilities = Capabilities::new();
    capabilities.insert("browserName".to_owned(), json!("chrome"));
    capabilities.insert("goog:chromeOptions".to_owned(), options);
    capabilities.insert("goog:loggingPrefs".to_owned(), json!({ "browser": "SEVERE" }));
    capabilities
}

/// A browser window on one site. Every method panics when the page does not do as said.
#[derive(Clone)]
pub struct Window {
    client: Client,
    driver: String,
    base: String,
    agent: Agent,
}

impl Window {
    /// Opens a path of the site.
    pub async fn open(&self, path: &str) {
        let url = format!("{}{path}", self.base);
        self.client.goto(&url).await.unwrap_or_else(|error| panic!("cannot open {url}: {error}"));
    }

    /// Loads the page again.
    pub async fn reload(&self) {
        self.client.refresh().await.expect("the page loads again");
    }

    /// Where the window is.
    pub async fn url(&self) -> String {
        self.client.current_url().await.expect("the window has an address").to_string()
    }

    /// Waits until the page has such an element.
    pub async fn find(&self, what: Locator<'_>) -> Element {
        let found = self.client.wait().at_most(PATIENCE).for_element(what).await;
        found.unwrap_or_else(|error| panic!("the page never shows {what:?}: {error}"))
    }

    /// Waits until the page's live region says `text`.
    pub async fn hears(&self, text: &str) {
        let path = format!("//*[@role='status'][.={text:?}]");
        self.find(Locator::XPath(&path)).await;
    }

    /// Clicks on what `css` names as soon as it can be seen.
    pub async fn press(&self, css: &str) {
        let shown = format!("{css}:not([hidden]):not([aria-disabled=true])");
        let element = self.find(Locator::Css(&shown)).await;
        element.click().await.unwrap_or_else(|error| panic!("cannot click {css}: {error}"));
    }

    /// Replaces the content of a field.
    pub async fn fill(&self, css: &str, text: &str) {
        let element = self.find(Locator::Css(css)).await;
        element.clear().await.unwrap_or_else(|error| panic!("cannot clear {css}: {error}"));
        self.type_into(css, text).await;
    }

    /// Types keys into a field, or the path of a file into a file field.
    pub async fn type_into(&self, css: &str, keys: &str) {
        let element = self.find(Locator::Css(css)).await;
        element.send_keys(keys).await.unwrap_or_else(|error| panic!("cannot fill {css}: {error}"));
    }

    /// Waits until an image is decoded; its own width in pixels.
    pub async fn width_of_image(&self, css: &str) -> u64 {
        let script = "const [css, done] = arguments; const image = document.querySelector(css); \
            image.decode().then(() => done(image.naturalWidth), () => done(0));";
        let width = self.client.execute_async(script, vec![json!(css)]).await;
        width.expect("the image is there").as_u64().unwrap_or(0)
    }

    /// What one element of the page shows, as PNG.
    pub async fn shoot_part(&self, css: &str) -> Vec<u8> {
        let element = self.find(Locator::Css(css)).await;
        element.screenshot().await.unwrap_or_else(|error| panic!("cannot picture {css}: {error}"))
    }

    /// Whether nothing sticks out to the right of the window.
    pub async fn fits(&self) -> bool {
        let script = "const page = document.documentElement; \
            return page.scrollWidth <= page.clientWidth;";
        let fits = self.client.execute(script, Vec::new()).await;
        fits.expect("the script runs").as_bool().unwrap_or(false)
    }

    /// Runs steps on a phone's screen.
    pub async fn on_a_phone(&self, steps: impl AsyncFnOnce(&Window)) {
        let phone = json!({ "width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": true });
        self.tell("Emulation.setDeviceMetricsOverride", &phone);
        steps(self).await;
        self.tell("Emulation.clearDeviceMetricsOverride", &json!({}));
    }

    /// Keeps a picture of the whole page, however long, if pictures are wanted.
    pub async fn panorama(&self, name: &str) {
        let Some(folder) = std::env::var_os("SOUK_SCREENSHOTS") else { return };
        let whole = json!({ "captureBeyondViewport": true });
        let answer = self.tell("Page.captureScreenshot", &whole);
        let text = answer["value"]["data"].as_str().expect("a picture");
        let picture = data_encoding::BASE64.decode(text.as_bytes()).expect("base64");
        let file = PathBuf::from(folder).join(format!("{name}.png"));
        std::fs::write(&file, picture).expect("the picture can be written");
    }

    /// Keeps a picture of the window, if pictures are wanted.
    pub async fn picture(&self, name: &str) {
        if let Some(folder) = std::env::var_os("SOUK_SCREENSHOTS") {
            let file = PathBuf::from(folder).join(format!("{name}.png"));
            std::fs::write(&file, self.shoot().await)
                .unwrap_or_else(|error| panic!("cannot write {}: {error}", file.display()));
        }
    }

    /// Keeps a picture of the page as a phone with dark colours shows it, if wanted.
    pub async fn portrait(&self, name: &str) {
        let phone = json!({ "width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": true });
        let dark = json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
        self.tell("Emulation.setDeviceMetricsOverride", &phone);
        self.tell("Emulation.setEmulatedMedia", &dark);
        self.picture(name).await;
        self.tell("Emulation.setEmulatedMedia", &json!({ "features": [] }));
        self.tell("Emulation.clearDeviceMetricsOverride", &json!({}));
    }

    async fn shoot(&self) -> Vec<u8> {
        self.client.screenshot().await.expect("the window can be pictured")
    }

    /// Sends a command of the browser's own protocol, which WebDriver has no word for.
    fn tell(&self, command: &str, parameters: &Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        let url = format!("{}/goog/cdp/execute", self.driver);
        let (status, answer) = read(self.agent.post(url).send(body.to_string()));
        assert_eq!(status, 200, "{command}: {answer}");
        answer
    }

    /// The errors that the browser's console has collected.
    fn console(&self) -> Vec<String> {
        let body = json!({ "type": "browser" }).to_string();
        let (_, answer) = read(self.agent.post(format!("{}/se/log", self.driver)).send(body));
        let entries = answer["value"].as_array().cloned().unwrap_or_default();
        entries.iter().map(|entry| entry["message"].to_string()).collect()
    }
}

/// A second client of the same account, as a phone would be.
pub struct Api {
    base: String,
    agent: Agent,
}

impl Api {
    /// A client of the API at `base`.
    pub fn new(base: &str) -> Api {
        Api { base: format!("{base}/api/v1"), agent: agent() }
    }

    /// Makes an account.
    pub fn register(&self, username: &str, password: &str) {
        let (status, answer) = self.post("users", username, password);
        assert_eq!(status, 201, "{answer}");
    }

    /// Logs in; the session's token.
    pub fn log_in(&self, username: &str, password: &str) -> String {
        let (status, answer) = self.post("login", username, password);
        assert_eq!(status, 200, "{answer}");
        answer["token"].as_str().expect("a token").to_owned()
    }

    fn post(&self, path: &str, username: &str, password: &str) -> (u16, Value) {
        let body = json!({ "username": username, "password": password }).to_string();
        let request = self.agent.post(format!("{}/{path}", self.base));
        read(request.header("content-type", "application/json").send(body))
    }

    /// Status and body of a session's own account.
    pub fn me(&self, token: &str) -> (u16, Value) {
        let request = self.agent.get(format!("{}/me", self.base));
        read(request.header("authorization", format!("Bearer {token}")).call())
    }

    /// Changes a session's own account.
    pub fn edit(&self, token: &str, change: &str) {
        let request = self.agent.patch(format!("{}/me", self.base));
        let (status, answer) = read(
            request
                .header("authorization", format!("Bearer {token}"))
                .header("content-type", "application/json")
                .send(change),
        );
        assert_eq!(status, 200, "{answer}");
    }

    /// Status and body of a public profile.
    pub fn user(&self, username: &str) -> (u16, Value) {
        read(self.agent.get(format!("{}/users/by-name/{username}", self.base)).call())
    }
}

fn agent() -> Agent {
    let config = Agent::config_builder().http_status_as_error(false);
    config.timeout_global(Some(PATIENCE)).build().into()
}

fn read(answer: Result<http::Response<Body>, ureq::Error>) -> (u16, Value) {
    let mut answer = answer.expect("the server answers");
    let text = answer.body_mut().read_to_string().expect("the answer arrives");
    (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null))
}
