//! A request's trace: taken from its caller or begun here, and ended with its answer.

use crate::http::Head;
use souk_trace::{Context, Span, Traceparent, Tracer};
use std::fmt;

/// A method and the path that the table knows; names a request in logs and spans.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    method: &'static str,
    path: Option<&'static str>,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path {
            Some(path) => write!(f, "{} {path}", self.method),
            None => f.write_str(self.method),
        }
    }
}

/// The trace that a request belongs to.
pub struct Trace {
    /// What the request is known by, here and in the daemon.
    pub context: Context,
    /// What was asked, as the table of routes knows it.
    pub route: Route,
    /// The front's own span, if the trace is sampled.
    span: Option<Span>,
}

impl Trace {
    /// A request that came with this head; `fresh` is its trace id if no caller gave one. `path`
    /// is the one that the table knows it by, if it knows one.
    pub fn of(tracer: &Tracer, head: &Head, path: Option<&'static str>, fresh: u128) -> Trace {
        let route = Route { method: head.method.name(), path };
        let (context, mut span) = tracer.arrive(caller(head), fresh, || route.to_string().into());
        if let Some(span) = &mut span {
            span.set("http.request.method", route.method);
            if let Some(path) = path {
                span.set("http.route", path);
            }
        }
        Trace { context, route, span }
    }

    /// What came is no request, but its answer has a trace id as any other.
    pub fn unread(fresh: u128) -> Trace {
        let context = Context { trace_id: fresh, span: None };
        Trace { context, route: Route { method: "(none)", path: None }, span: None }
    }

    /// This is the answer's status.
    pub fn answered(&mut self, status: u16) {
        if let Some(span) = &mut self.span {
            span.set("http.response.status_code", i64::from(status));
            if status >= 500 {
                span.fail("");
            }
        }
    }

    /// There is nobody to answer any more.
    pub fn lost(&mut self) {
        if let Some(span) = &mut self.span {
            span.fail("the connection was lost");
        }
    }
}

/// What the request says of its caller. Two of these headers contradict each other, so neither
/// counts.
fn caller(head: &Head) -> Option<Traceparent> {
    let mut values = head.headers("traceparent");
    let first = values.next()?;
    if values.next().is_some() { None } else { Traceparent::parse(first) }
}

#[cfg(test)]
mod tests {
    use super::Trace;
    use crate::http::head;
    use souk_trace::Tracer;

    const CALLER: &str = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";

    fn trace_id(fields: &str) -> u128 {
        let text = format!("GET / HTTP/1.1\r\nhost: souk.example\r\n{fields}\r\n");
        let (head, _) = head::parse(text.as_bytes()).expect("valid").expect("whole");
        Trace::of(&Tracer::default(), &head, None, 9).context.trace_id
    }

    #[test]
    fn a_request_keeps_the_trace_of_its_caller_if_that_is_one() {
        assert_eq!(trace_id(CALLER), 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(trace_id(""), 9);
        assert_eq!(trace_id("traceparent: 00-nonsense\r\n"), 9);
        assert_eq!(trace_id(&CALLER.repeat(2)), 9);
    }
}
