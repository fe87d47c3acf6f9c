//! From an uploaded file, which is trusted in nothing, to two clean squares.

use super::Size;
use crate::limits::{PICTURE_EDGE_MAX, PICTURE_MEMORY_MAX};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use souk_proto::{Code, Failure};
use std::io::Cursor;

/// Quality of JPEG, of 100: no visible loss at these sizes.
const JPEG_QUALITY: u8 = 85;

/// Pictures are first averaged down to this many times the wanted edge, which is quick, and then
/// resampled, which is good.
const AVERAGE_DOWN_TO: u32 = 3;

/// Both sizes of a picture: JPEG when it is opaque, else PNG, without metadata.
pub(super) struct Squares {
    pub(super) large: Vec<u8>,
    pub(super) small: Vec<u8>,
}

/// Decodes a picture and makes its squares. It takes bounded memory and time, whatever the bytes.
///
/// # Errors
/// `picture_unsupported`, `picture_too_large` or `picture_invalid`, with what is wrong.
pub(super) fn squares(bytes: &[u8]) -> Result<Squares, Failure> {
    let picture = decode(bytes)?;
    let opaque = is_opaque(&picture);
    let large = picture.resize_exact(256, 256, FilterType::Lanczos3);
    let small = large.resize_exact(64, 64, FilterType::Lanczos3);
    Ok(Squares { large: encode(&large, opaque)?, small: encode(&small, opaque)? })
}

/// The middle square of the picture, upright, in at most the detail that is needed.
fn decode(bytes: &[u8]) -> Result<DynamicImage, Failure> {
    if bytes.is_empty() {
        return Err(Failure::because(Code::PictureInvalid, "The picture is empty (0 bytes)."));
    }
    let format = image::guess_format(bytes).map_err(|_| Code::PictureUnsupported)?;
    use ImageFormat::{Gif, Jpeg, Png, WebP};
    if !matches!(format, Png | Jpeg | WebP | Gif) {
        return Err(Failure::new(Code::PictureUnsupported));
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(PICTURE_EDGE_MAX);
    limits.max_image_height = Some(PICTURE_EDGE_MAX);
    limits.max_alloc = Some(PICTURE_MEMORY_MAX);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(refused)?;
    let (width, height) = decoder.dimensions();
    if width.max(height) > PICTURE_EDGE_MAX || decoder.total_bytes() > PICTURE_MEMORY_MAX {
        return Err(Failure::new(Code::PictureTooLarge));
    }
    if width == 0 || height == 0 {
        return Err(Failure::new(Code::PictureInvalid));
    }
    // Damaged metadata is no reason to refuse a picture: it is dropped anyway.
    let orientation = decoder.orientation().ok();
    let mut picture = DynamicImage::from_decoder(decoder).map_err(refused)?;
    let mut picture = cut_to_square(picture);
    if let Some(orientation) = orientation {
        picture.apply_orientation(orientation);
    }
    Ok(picture)
}

/// The middle of the picture, averaged down if it is large. Only then resampled: a picture of
/// 6000×1 pixels would otherwise be stretched to a million by 256 before it is cut.
fn cut_to_square(mut picture: DynamicImage) -> DynamicImage {
    let edge = Size::Large.pixels() * AVERAGE_DOWN_TO;
    let shorter = picture.width().min(picture.height());
    if shorter > edge {
        let scaled = |length: u32| {
            let scaled = u64::from(length) * u64::from(edge) / u64::from(shorter);
            u32::try_from(scaled).unwrap_or(edge)
        };
        picture = picture.thumbnail_exact(scaled(picture.width()), scaled(picture.height()));
    }
    let (width, height) = (picture.width(), picture.height());
    let side = width.min(height);
    picture.crop((width - side) / 2, (height - side) / 2, side, side)
}

fn refused(error: ImageError) -> Failure {
    match error {
        ImageError::Limits(_) => Failure::new(Code::PictureTooLarge),
        ImageError::Unsupported(_) => Failure::new(Code::PictureUnsupported),
        _ => Failure::new(Code::PictureInvalid),
    }
}

fn is_opaque(picture: &DynamicImage) -> bool {
    !picture.color().has_alpha() || picture.to_rgba8().pixels().all(|pixel| pixel.0[3] == u8::MAX)
}

fn encode(square: &DynamicImage, opaque: bool) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let encoded = if opaque {
        let encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
        DynamicImage::ImageRgb8(square.to_rgb8()).write_with_encoder(encoder)
    } else {
        DynamicImage::ImageRgba8(square.to_rgba8()).write_with_encoder(PngEncoder::new(&mut bytes))
    };
    encoded.map_err(|error| {
        tracing::error!(%error, "a picture cannot be encoded");
        Failure::new(Code::Internal)
    })?;
    Ok(bytes)
}
