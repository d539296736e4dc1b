"""Clips: write frames with their true times, read them back by position or time, draw boxes, convert box spaces."""

from medvidbench_hf.video.boxes import THOUSAND, UNIT, convert
from medvidbench_hf.video.clip import Encoded, encode, need_ffmpeg, psnr
from medvidbench_hf.video.draw import draw_boxes
from medvidbench_hf.video.model import FAMILIES, Family, ModelInputs, model_inputs
from medvidbench_hf.video.read import Probe, Video, container_times, frame_files, frames, frames_at, need_decoder, probe
from medvidbench_hf.video.sampling import Frames, choose, sample_frames

__all__ = [
    "FAMILIES",
    "THOUSAND",
    "UNIT",
    "Encoded",
    "Family",
    "Frames",
    "ModelInputs",
    "Probe",
    "Video",
    "choose",
    "container_times",
    "convert",
    "draw_boxes",
    "encode",
    "frame_files",
    "frames",
    "frames_at",
    "model_inputs",
    "need_decoder",
    "need_ffmpeg",
    "probe",
    "psnr",
    "sample_frames",
]
