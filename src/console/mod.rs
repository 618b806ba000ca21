//! The console: pages for people. A view is a struct of figures and words, and a template that sets them; nothing is looked up or decided here.
//!
//! Pages work without JavaScript (they load anew); with it, what changes is swapped in place. Every text that comes from outside passes
//! through [`html::Text`].

mod demonstration;
mod html;
mod now;
mod view;

pub use view::{Alert, Attack, Attention, Demonstration, Followed, Now, Raised, Rate};

/// What the pages load: name, media type, text.
const FILES: [(&str, &str, &str); 2] = [
    ("console.css", "text/css; charset=utf-8", include_str!("console.css")),
    ("console.js", "text/javascript; charset=utf-8", include_str!("console.js")),
];

/// The media type of pages.
pub const PAGE: &str = "text/html; charset=utf-8";

/// Media type and text of the file called `name`.
pub fn file(name: &str) -> Option<(&'static str, &'static str)> {
    FILES.iter().find(|(known, ..)| *known == name).map(|(_, media_type, text)| (*media_type, *text))
}
