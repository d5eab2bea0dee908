"""The images among the files that pydicom brings along, and what is expected of each of them."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

_PREFIX = "1.2.840.10008.1.2"


@dataclass(frozen=True, slots=True)
class SampleImage:
    """A file and its expected values.

    `syntax` is the transfer syntax without what all of them begin with. `frames` can be had as they are stored;
    `decodable` says whether in Explicit VR Little Endian also, and rendered; `jp2` whether as lossless JPEG 2000.
    `checksum` is the CRC-32 of all decoded samples, little endian, colours by pixel and as RGB where the service makes
    RGB of them; lossy files have none, since decoders may differ by a grey level. `mean` is that of all samples.
    """

    name: str
    syntax: str
    frames: int = 1
    decodable: bool = True
    jp2: bool = True
    checksum: int | None = None
    mean: float | None = None

    @property
    def transfer_syntax(self) -> str:
        return _PREFIX + self.syntax

    @property
    def lossy(self) -> bool:
        """Whether the encoding of the pixels loses something (PS3.5 8.2)."""
        return self.syntax in (".4.50", ".4.51", ".4.81", ".4.91")

    @property
    def encapsulated(self) -> bool:
        return self.syntax.startswith((".4", ".5"))

    def read(self) -> bytes:
        """The file."""
        package = importlib.util.find_spec("pydicom")
        assert package is not None
        root = Path(next(iter(package.submodule_search_locations or [])))
        return (root / "data" / "test_files" / self.name).read_bytes()


SAMPLE_IMAGES = (
    SampleImage("693_J2KI.dcm", ".4.91", mean=-8.32),
    SampleImage("CT_small.dcm", ".1", checksum=0x7EC02B78, mean=904.93),
    SampleImage("ExplVR_BigEnd.dcm", ".2", checksum=0x6F0DDC8B, mean=171.58),
    SampleImage("GDCMJ2K_TextGBR.dcm", ".4.90", checksum=0x3917876D, mean=124.44),
    SampleImage("J2K_pixelrep_mismatch.dcm", ".4.90", checksum=0x33BFB872, mean=-658.44),
    SampleImage("JPEG-lossy.dcm", ".4.51", decodable=False, jp2=False),
    SampleImage("JPEG2000-embedded-sequence-delimiter.dcm", ".4.91", decodable=False, jp2=False),
    SampleImage("JPEG2000.dcm", ".4.91", mean=13.46),
    SampleImage("JPEGLSNearLossless_08.dcm", ".4.81", mean=55.56),
    SampleImage("JPEGLSNearLossless_16.dcm", ".4.81", mean=12014.5),
    SampleImage("JPGExtended.dcm", ".4.51", decodable=False, jp2=False),
    SampleImage("MR_small.dcm", ".1", checksum=0x2614499C, mean=518.88),
    SampleImage("MR_small_RLE.dcm", ".5", checksum=0x2614499C, mean=518.88),
    SampleImage("MR_small_bigendian.dcm", ".2", checksum=0x2614499C, mean=518.88),
    SampleImage("MR_small_expb.dcm", ".2", checksum=0x2614499C, mean=518.88),
    SampleImage("MR_small_implicit.dcm", "", checksum=0x2614499C, mean=518.88),
    SampleImage("MR_small_jp2klossless.dcm", ".4.90", checksum=0x2614499C, mean=518.88),
    SampleImage("MR_small_jpeg_ls_lossless.dcm", ".4.80", checksum=0x2614499C, mean=518.88),
    SampleImage("MR_small_padded.dcm", ".1", checksum=0x2614499C, mean=518.88),
    SampleImage("MR_truncated.dcm", ".1", frames=0, decodable=False, jp2=False),
    SampleImage("SC_jpeg_no_color_transform.dcm", ".4.50", mean=243.97),
    SampleImage("SC_jpeg_no_color_transform_2.dcm", ".4.50", mean=245.64),
    SampleImage("SC_rgb_dcmtk_+eb+cr.dcm", ".4.50", mean=127.74),
    SampleImage("SC_rgb_dcmtk_+eb+cy+n1.dcm", ".4.50", mean=127.55),
    SampleImage("SC_rgb_dcmtk_+eb+cy+n2.dcm", ".4.50", mean=127.73),
    SampleImage("SC_rgb_dcmtk_+eb+cy+np.dcm", ".4.50", mean=127.55),
    SampleImage("SC_rgb_dcmtk_+eb+cy+s2.dcm", ".4.50", mean=127.73),
    SampleImage("SC_rgb_dcmtk_+eb+cy+s4.dcm", ".4.50", mean=127.73),
    SampleImage("SC_rgb_gdcm_KY.dcm", ".4.91", mean=127.7),
    SampleImage("SC_rgb_jls_lossy_line.dcm", ".4.81", mean=128.0),
    SampleImage("SC_rgb_jls_lossy_sample.dcm", ".4.81", mean=128.0),
    SampleImage("SC_rgb_jpeg.dcm", ".4.50", mean=243.97),
    SampleImage("SC_rgb_jpeg_app14_dcmd.dcm", ".4.50", mean=245.64),
    SampleImage("SC_rgb_jpeg_dcmd.dcm", "", checksum=0xF28D3FE3, mean=243.97),
    SampleImage("SC_rgb_jpeg_dcmtk.dcm", ".4.50", mean=127.73),
    SampleImage("SC_rgb_jpeg_gdcm.dcm", ".4.70", checksum=0x0EF37133, mean=127.7),
    SampleImage("SC_rgb_jpeg_lossy_gdcm.dcm", ".4.50", mean=127.53),
    SampleImage("SC_rgb_rle.dcm", ".5", checksum=0x0EF37133, mean=127.7),
    SampleImage("SC_rgb_rle_16bit.dcm", ".5", checksum=0xB2A44E2D, mean=32818.9),
    SampleImage("SC_rgb_rle_16bit_2frame.dcm", ".5", frames=2, checksum=0x3E7AB5E2, mean=32767.5),
    SampleImage("SC_rgb_rle_2frame.dcm", ".5", frames=2, checksum=0x2E06E891, mean=127.5),
    SampleImage("SC_rgb_rle_32bit.dcm", ".5", jp2=False, checksum=0x965469BC, mean=2150852249.3),
    SampleImage("SC_rgb_rle_32bit_2frame.dcm", ".5", frames=2, jp2=False, checksum=0x0A5FC3F8, mean=2147483647.5),
    SampleImage("SC_rgb_small_odd.dcm", ".1", checksum=0xFB95E3AC, mean=128.78),
    SampleImage("SC_rgb_small_odd_big_endian.dcm", ".2", checksum=0xFB95E3AC, mean=128.78),
    SampleImage("SC_rgb_small_odd_jpeg.dcm", ".4.50", mean=128.33),
    SampleImage("SC_ybr_full_422_uncompressed.dcm", ".1", checksum=0x5860632A, mean=127.73),
    SampleImage("badVR.dcm", ".1", jp2=False),
    SampleImage("examples_jpeg2k.dcm", ".4.90", checksum=0x1533FE9D, mean=34.53),
    SampleImage("examples_overlay.dcm", ".1", checksum=0x30C55345, mean=191.69),
    SampleImage("examples_palette.dcm", ".1", checksum=0x9E22E529, mean=53.66),
    SampleImage("examples_rgb_color.dcm", ".1", checksum=0x3A3F104C, mean=34.27),
    SampleImage("examples_ybr_color.dcm", ".4.50", frames=30, mean=10.49),
    SampleImage("image_dfl.dcm", ".1.99", checksum=0xDC91A455, mean=127.12),
    SampleImage("liver_1frame.dcm", ".1", jp2=False, checksum=0xCA757958, mean=0.14),
    SampleImage("liver_expb_1frame.dcm", ".2", jp2=False, checksum=0xCA757958, mean=0.14),
    SampleImage("nested_priv_SQ.dcm", "", frames=0, decodable=False, jp2=False),
    SampleImage("rtdose.dcm", "", frames=15, jp2=False, checksum=0x4F4143E8, mean=1013273.33),
    SampleImage("rtdose_1frame.dcm", "", jp2=False, checksum=0x80F0DC6F, mean=1013780.0),
    SampleImage("rtdose_expb.dcm", ".2", frames=15, jp2=False, checksum=0x4F4143E8, mean=1013273.33),
    SampleImage("rtdose_expb_1frame.dcm", ".2", jp2=False, checksum=0x80F0DC6F, mean=1013780.0),
    SampleImage("rtdose_rle.dcm", ".5", frames=15, jp2=False, checksum=0x4F4143E8, mean=1013273.33),
    SampleImage("rtdose_rle_1frame.dcm", ".5", jp2=False, checksum=0x80F0DC6F, mean=1013780.0),
)
