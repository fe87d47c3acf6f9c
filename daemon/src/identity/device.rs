//! A name for a device that its owner recognises, from what its User-Agent says.

/// Browsers by the word that marks them, those whose agents hold others' words first.
const BROWSERS: &[(&str, &str)] = &[
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("HeadlessChrome/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
];

/// Systems by the word that marks them, those whose agents hold others' words first.
const SYSTEMS: &[(&str, &str)] = &[
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("FreeBSD", "FreeBSD"),
    ("Linux", "Linux"),
];

/// Longest name of a program that is not a browser, bytes.
const PROGRAM_LEN_MAX: usize = 32;

/// "Firefox on Linux", "curl", or "Unknown device".
pub fn name(agent: &str) -> String {
    let browser = find(BROWSERS, agent);
    let system = find(SYSTEMS, agent);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, _) => program(agent).unwrap_or("Unknown device").to_owned(),
    }
}

fn find(table: &[(&str, &'static str)], agent: &str) -> Option<&'static str> {
    table.iter().find(|(word, _)| agent.contains(word)).map(|(_, name)| *name)
}

/// The product token of a program that is not a browser: `curl` of `curl/8.5.0`.
fn program(agent: &str) -> Option<&str> {
    let product = agent.split([' ', '/', '(']).next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    let fits = (1..=PROGRAM_LEN_MAX).contains(&product.len()) && product.chars().all(plain);
    (fits && product != "Mozilla").then_some(product)
}

#[cfg(test)]
mod tests {
    use super::name;
    use proptest::prelude::*;

    #[test]
    fn common_agents_get_the_names_that_people_know() {
        for (agent, expected) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
                "Firefox on Linux",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
              Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) \
              Chrome/126.0.0.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 \
              (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 \
              (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
                "Safari on macOS",
            ),
            ("curl/8.5.0", "curl"),
            ("python-requests/2.32", "python-requests"),
            ("", "Unknown device"),
            ("Mozilla/5.0", "Unknown device"),
            ("<script>alert(1)</script>", "Unknown device"),
        ] {
            assert_eq!(name(agent), expected, "{agent}");
        }
    }

    proptest! {
        #[test]
        fn any_agent_gets_a_short_plain_name(agent in "\\PC{0,300}") {
            let name = name(&agent);
            prop_assert!((1..=40).contains(&name.len()));
            prop_assert!(name.is_ascii());
        }
    }
}
