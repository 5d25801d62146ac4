"""From videos to face crops: decoding, face detection, tracking, cropping."""
