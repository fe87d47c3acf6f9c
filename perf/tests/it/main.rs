//! What the load tools guarantee, against real sockets.

mod engine;
mod servers;
