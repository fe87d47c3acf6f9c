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
    // The decoder paints what is missing grey; nobody wants that as their picture.
    if format == Jpeg && !jpeg_is_whole(bytes) {
        return Err(Failure::new(Code::PictureInvalid));
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
    let picture = DynamicImage::from_decoder(decoder).map_err(refused)?;
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

/// Whether the segments of a JPEG lead to its end marker (ITU-T T.81, section B.1.1).
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    const END: u8 = 0xd9;
    const SCAN: u8 = 0xda;
    let mut rest = bytes.get(2..).unwrap_or_default();
    loop {
        // Fill bytes may stand before a marker, which stands before the length of its segment.
        let [0xff, marker, tail @ ..] = rest else { return false };
        match (*marker, tail) {
            (0xff, _) => rest = &rest[1..],
            (END, _) => return true,
            (marker, [high, low, ..]) => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                let Some(after) = tail.get(length..) else { return false };
                rest = if marker == SCAN { after_scan(after) } else { after };
            }
            _ => return false,
        }
    }
}

/// What follows a scan's data: in the data, 0xff comes only before 0x00 or a restart marker.
fn after_scan(data: &[u8]) -> &[u8] {
    let is_marker = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7);
    let end = data.windows(2).position(is_marker).unwrap_or(data.len());
    &data[end..]
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

#[cfg(test)]
mod tests {
    use super::squares;
    use image::{DynamicImage, GrayImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
    use proptest::prelude::*;
    use souk_proto::Code;
    use std::io::Cursor;

    const RED: Rgb<u8> = Rgb([220, 20, 20]);
    const BLUE: Rgb<u8> = Rgb([20, 20, 220]);

    fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).expect("encode");
        bytes.into_inner()
    }

    /// Red on the left, blue on the right.
    fn halves(width: u32, height: u32) -> DynamicImage {
        let color = |x, _| if x < width / 2 { RED } else { BLUE };
        RgbImage::from_fn(width, height, color).into()
    }

    /// Something that does not compress, so that half of a file is half of a picture.
    fn noise(width: u32, height: u32) -> DynamicImage {
        let hash =
            |x: u32, y: u32| *blake3::hash(&[x.to_be_bytes(), y.to_be_bytes()].concat()).as_bytes();
        let color = |x, y| {
            let hash = hash(x, y);
            Rgb([hash[0], hash[1], hash[2]])
        };
        RgbImage::from_fn(width, height, color).into()
    }

    fn refused(bytes: &[u8]) -> Code {
        squares(bytes).err().expect("refused").code
    }

    fn is_near(picture: &DynamicImage, x: u32, y: u32, expected: Rgb<u8>) -> bool {
        let found = picture.to_rgb8().get_pixel(x, y).0;
        found.iter().zip(expected.0).all(|(found, expected)| found.abs_diff(expected) < 24)
    }

    /// CRC-32 as PNG has it (W3C PNG, annex D).
    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
            })
        })
    }

    /// A PNG whose header promises these dimensions and whose data is for far less.
    fn png_that_claims(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = encoded(&halves(8, 8), ImageFormat::Png);
        bytes[16..20].copy_from_slice(&width.to_be_bytes());
        bytes[20..24].copy_from_slice(&height.to_be_bytes());
        let crc = crc(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// A JPEG with an Exif segment: orientation 6 (turn right), and a text that must not stay.
    fn jpeg_with_exif() -> Vec<u8> {
        let jpeg = encoded(&halves(300, 200), ImageFormat::Jpeg);
        let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01".to_vec();
        exif.extend_from_slice(b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0TAKEN AT HOME");
        let mut bytes = jpeg[..2].to_vec();
        bytes.extend_from_slice(b"\xff\xe1");
        let length = u16::try_from(exif.len() + 2).expect("short");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&exif);
        bytes.extend_from_slice(&jpeg[2..]);
        bytes
    }

    #[test]
    fn each_format_becomes_two_opaque_jpeg_squares() {
        use ImageFormat::{Gif, Jpeg, Png, WebP};
        for format in [Png, Jpeg, WebP, Gif] {
            let squares = squares(&encoded(&halves(400, 300), format)).expect("taken");
            for (bytes, edge) in [(&squares.large, 256), (&squares.small, 64)] {
                assert_eq!(image::guess_format(bytes).expect("format"), Jpeg, "{format:?}");
                let square = image::load_from_memory(bytes).expect("decodes");
                assert_eq!((square.width(), square.height()), (edge, edge));
                assert!(is_near(&square, edge / 8, edge / 2, RED), "{format:?}");
                assert!(is_near(&square, edge - edge / 8, edge / 2, BLUE), "{format:?}");
            }
        }
    }

    #[test]
    fn transparency_is_kept_as_png() {
        let picture = RgbaImage::from_pixel(100, 100, Rgba([10, 20, 30, 128]));
        let squares = squares(&encoded(&picture.into(), ImageFormat::Png)).expect("taken");
        for bytes in [&squares.large, &squares.small] {
            assert_eq!(image::guess_format(bytes).expect("format"), ImageFormat::Png);
            let square = image::load_from_memory(bytes).expect("decodes").to_rgba8();
            assert_eq!(square.get_pixel(9, 9).0[3], 128);
        }
    }

    #[test]
    fn orientation_is_applied_and_metadata_is_gone() {
        let squares = squares(&jpeg_with_exif()).expect("taken");
        for bytes in [&squares.large, &squares.small] {
            assert!(!bytes.windows(4).any(|window| window == b"Exif" || window == b"HOME"));
        }
        let square = image::load_from_memory(&squares.large).expect("decodes");
        assert!(is_near(&square, 128, 32, RED), "the left came to the top");
        assert!(is_near(&square, 128, 224, BLUE));
    }

    #[test]
    fn a_bomb_is_refused_by_its_header() {
        for (width, height) in [(60_000, 60_000), (6_001, 1), (1, 6_001), (u32::MAX >> 1, 1)] {
            assert_eq!(refused(&png_that_claims(width, height)), Code::PictureTooLarge);
        }
        assert_eq!(refused(&png_that_claims(6_000, 6_000)), Code::PictureInvalid);
    }

    #[test]
    fn the_largest_and_the_thinnest_pictures_are_taken() {
        for (width, height) in [(6_000, 6_000), (6_000, 1), (1, 6_000), (1, 1), (6_000, 700)] {
            let picture = DynamicImage::from(GrayImage::new(width, height));
            let squares = squares(&encoded(&picture, ImageFormat::Png));
            assert!(squares.is_ok(), "{width}×{height}");
        }
    }

    #[test]
    fn empty_disguised_and_foreign_files_are_refused() {
        assert_eq!(refused(b""), Code::PictureInvalid);
        assert_eq!(refused(b"<html><script>alert(1)</script>"), Code::PictureUnsupported);
        assert_eq!(
            refused(b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>"),
            Code::PictureUnsupported
        );
        assert_eq!(refused(b"BM\0\0\0\0\0\0\0\0"), Code::PictureUnsupported);
        assert_eq!(refused(b"\x89PNG\r\n\x1a\n<html>"), Code::PictureInvalid);
        assert_eq!(refused(b"GIF89a"), Code::PictureInvalid);
    }

    #[test]
    fn a_cut_off_picture_is_refused() {
        use ImageFormat::{Gif, Jpeg, Png, WebP};
        for format in [Png, Jpeg, WebP, Gif] {
            let whole = encoded(&noise(200, 200), format);
            for length in [16, 40, whole.len() / 4, whole.len() / 2, whole.len() - whole.len() / 8]
            {
                assert_eq!(refused(&whole[..length]), Code::PictureInvalid, "{format:?} {length}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever is damaged, the answer is a picture or one of the picture errors.
        #[test]
        fn damage_never_breaks_anything_but_the_picture(
            format in 0..4_usize, cut in proptest::option::of(any::<prop::sample::Index>()),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        ) {
            use ImageFormat::{Gif, Jpeg, Png, WebP};
            let mut bytes = encoded(&halves(40, 30), [Png, Jpeg, WebP, Gif][format]);
            for (index, value) in damage {
                let index = index.index(bytes.len());
                bytes[index] = value;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            if let Err(failure) = squares(&bytes) {
                use Code::{PictureInvalid, PictureTooLarge, PictureUnsupported};
                let picture = [PictureInvalid, PictureUnsupported, PictureTooLarge];
                prop_assert!(picture.contains(&failure.code), "{failure:?}");
            }
        }
    }
}
