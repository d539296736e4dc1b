"""Clips: write frames with their true times, read them back by time, draw boxes."""

from medvidbench_hf.video.clip import encode, frames_at, need_decoder, need_ffmpeg
from medvidbench_hf.video.draw import draw_boxes

__all__ = ["draw_boxes", "encode", "frames_at", "need_decoder", "need_ffmpeg"]
