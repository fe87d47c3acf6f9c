//! The report as people see it: in a browser, on a desktop and on a phone.

use std::fs;

use fantoccini::wd::Locator::{Css, XPath};
use souk_stack::PrivateDir;

use super::{bench, with_users};
use crate::browser::Scripts;
use crate::browser::window::walk;

#[test]
fn the_report_shows_its_plots_on_a_desktop_and_fits_a_phone() {
    let stack = with_users(20);
    let home = PrivateDir::new().expect("a directory");
    let page = home.path().join("report.html");
    let path = page.to_string_lossy();
    let http = stack.http();
    let args = ["run", "profile-zipf", "--url", &http, "--users", "20", "--rate", "300"];
    let load = ["--duration", "4s", "--warm-up", "0s", "--connections", "16", "--report", &path];
    let outcome = bench(&args, &load);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(fs::metadata(&page).expect("written").len() > 10_000);
    let base = format!("file://{}", home.path().display());
    walk(&base, Scripts::Allowed, async |window| {
        window.open("/report.html").await;
        window.find(XPath("//h1[contains(., 'profile-zipf')]")).await;
        for label in ["Latency by percentile", "Latency over time", "Answers a second"] {
            window.find(Css(&format!("svg[aria-label^='{label}'] path, svg rect"))).await;
        }
        assert!(window.fits().await, "nothing sticks out of a desktop's window");
        window.panorama("report").await;
        window
            .on_a_phone(async |phone| {
                assert!(phone.fits().await, "nothing sticks out of a phone's");
                phone.panorama("report-phone").await;
            })
            .await;
    });
}
