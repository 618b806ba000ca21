//! A card with its kernels, ready for forward passes.

use super::Opened;
use super::driver::Driver;
use super::forward::OnDevice;
use super::look::look;
use super::machine::{Card, Missing};
use super::room::ROOM;

/// The kernels, for every card from compute capability 7.5 on; what makes them is `kernels/README.md`'s matter.
const CODE: &[u8] = include_bytes!("../../../kernels/prebuilt/weir.fatbin");

/// Brings up the device of CUDA's number `number`, and no other.
///
/// # Errors
/// Why it cannot be used. Nothing panics, whatever the machine has.
pub fn open_device(number: u32) -> Result<Opened, Missing> {
    bring_up(look().card(number)?)
}

/// Brings up the first device that comes up, by CUDA's numbers: it, and why each before it did not. Where none does, all of them say why.
pub fn open_first() -> (Option<Opened>, Vec<Missing>) {
    let seen = look();
    if let Some(missing) = seen.missing {
        return (None, vec![missing]);
    }
    let mut passed = Vec::new();
    for card in seen.cards {
        match card.and_then(|card| bring_up(&card)) {
            Ok(opened) => return (Some(opened), passed),
            Err(why) => passed.push(why),
        }
    }
    (None, passed)
}

fn bring_up(card: &Card) -> Result<Opened, Missing> {
    let driver = Driver::open(card, CODE)?;
    let backend = OnDevice::new(driver, ROOM).map_err(|error| Missing::of(card, error))?;
    Ok((card.name(), Box::new(backend)))
}
