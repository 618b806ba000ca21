//! What a model's card says of the labels that the model knows.

use crate::event::Timestamp;
use std::fmt;
use std::path::{Path, PathBuf};

/// The key in the card: until when labels came that the model learned from.
const KNOWN_UNTIL: &str = "known_until";

/// A model's card, as far as it says what may be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Card {
    /// The model learned from no label later than that.
    pub known_until: Timestamp,
}

/// What is wrong with a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardError(String);

impl fmt::Display for CardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CardError {}

impl Card {
    /// Where the card of `model` is: beside it, as `MODEL.json`.
    pub fn beside(model: &Path) -> PathBuf {
        model.with_extension("json")
    }

    /// Reads a card's text.
    ///
    /// # Errors
    /// Where it is no JSON, or says nothing of what the model knows.
    pub fn parse(text: &str) -> Result<Card, CardError> {
        let card: serde_json::Value = serde_json::from_str(text).map_err(|error| CardError(format!("found no JSON ({error})")))?;
        let found = &card[KNOWN_UNTIL];
        let known_until =
            found.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok()).map(|moment| Timestamp(moment.as_microsecond()));
        let known_until = known_until.ok_or_else(|| {
            CardError(format!(
                "{KNOWN_UNTIL}: found {found}, expected the moment until which the model knows labels, such as \"2018-08-08T00:00:00Z\""
            ))
        })?;
        Ok(Card { known_until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_says_until_when_labels_are_known() {
        let card = Card::parse(r#"{"seed":1,"known_until":"2018-08-08T00:00:00Z"}"#).expect("a card");
        assert_eq!(card.known_until.to_string(), "2018-08-08T00:00:00Z");
        assert_eq!(Card::beside(Path::new("models/fraud.safetensors")), Path::new("models/fraud.json"));
    }

    #[test]
    fn a_card_that_does_not_say_is_no_licence() {
        let wrong = |text: &str| Card::parse(text).expect_err("it says nothing").to_string();
        assert!(wrong("{}").starts_with("known_until: found null, expected the moment"));
        assert!(wrong(r#"{"known_until":"yesterday"}"#).starts_with("known_until: found \"yesterday\", expected"));
        assert!(wrong("safetensors").starts_with("found no JSON ("));
    }
}
