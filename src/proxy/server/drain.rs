//! Carries a drain out: [`attend`] serves one connection until it may leave, and [`conduct`] leads the process through the stages
//! of [`crate::proxy::drain`].

pub mod attend;
pub mod conduct;
