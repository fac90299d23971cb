"""Names of files that are safe on every system. No TF."""

import hashlib
import re
import unicodedata

_LONGEST = 100  # Characters; 255 bytes is the limit of most file systems.
_RESERVED = re.compile(r'(con|prn|aux|nul|com\d|lpt\d)(\..*)?', re.IGNORECASE)
# Folders that say nothing of an image.
_PLAIN = ('images', 'jpegimages')


def file_id(name: str) -> str:
    """Returns the id of an image, which is the stem of its files.

    Folders become part of it. What is left are letters, digits, '_', '-' and
    '.' in the middle: no separators, no name that a system reserves.

    Args:
      name: path of the image below the root, with slashes.
    """
    parts = unicodedata.normalize('NFC', name).split('/')
    parts[-1] = parts[-1].rpartition('.')[0] or parts[-1]
    if len(parts) > 1 and parts[0].lower() in _PLAIN:
        parts = parts[1:]
    plain = re.sub(r'[^\w.-]', '_', '_'.join(parts)).strip('.') or '_'
    if _RESERVED.fullmatch(plain):
        plain = f'_{plain}'
    if len(plain) > _LONGEST or len(plain.encode()) > 2 * _LONGEST:
        digest = hashlib.sha256(plain.encode()).hexdigest()[:12]
        short = plain.encode()[:_LONGEST].decode('utf-8', 'ignore')
        plain = f'{short}-{digest}'
    return plain


def collision_key(file_id: str) -> str:
    """Returns what is equal for ids that some file system takes for one."""
    return unicodedata.normalize('NFKC', file_id).casefold()
