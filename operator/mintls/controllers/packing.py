"""Thousands of objects that are much alike, in little memory.

As Python objects, one for each string of a status, an object took five times as much (1.9 KiB and 0.4 KiB, by
tracemalloc), and every garbage collection had to walk through all of them. To read one takes some microseconds.
"""

import zlib

import msgspec

_WINDOW_BITS, _MEMORY_LEVEL = 14, 5
"""Room for all samples and an object. zlib's defaults are for long files: to make and forget their tables, a quarter of
a MiB, took four times as long as all the rest."""
_SAMPLES = 4
_LONGEST_SAMPLE = 2048
_LITTLE_IN_COMMON = 0.4
"""Packed to more than this part of its length, an object has little in common with the samples. One that differs in
uids, digests and times alone takes 0.1 to 0.3 of it (OAuthClients, ClientCertificates and Secrets, as issued)."""


class Packing[T]:
    """Objects of one kind as msgpack, compressed by what they have in common with samples, the first of them.

    An object that has little in common with the samples is a further one, up to a few: the first objects may be new,
    and have nothing yet of what all of them have later. What one packing packed no other one unpacks.
    """

    def __init__(self, type_: type[T]) -> None:
        """Prepare; ``type_`` is what the objects are."""
        # Each has those before it and one more. What is packed is not unpacked without its own: they stay.
        self._samples = [b""]
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(type_).decode

    def pack(self, item: T) -> bytes:
        """The object in octets."""
        octets = self._encode(item)
        packed = self._deflated(octets)
        if len(packed) > len(octets) * _LITTLE_IN_COMMON and self._has_room_for(octets):
            self._samples.append(self._samples[-1] + octets)
            packed = self._deflated(octets)
        return packed

    def unpack(self, packed: bytes) -> T:
        """The object again: equal to what was packed."""
        inflate = zlib.decompressobj(-_WINDOW_BITS, zdict=self._samples[packed[0]])
        return self._decode(inflate.decompress(memoryview(packed)[1:]))

    def _has_room_for(self, sample: bytes) -> bool:
        return len(self._samples) <= _SAMPLES and len(sample) <= _LONGEST_SAMPLE

    def _deflated(self, octets: bytes) -> bytes:
        """The number of the samples, and what is not in them."""
        samples = self._samples[-1]
        deflate = zlib.compressobj(zlib.Z_BEST_SPEED, zlib.DEFLATED, -_WINDOW_BITS, _MEMORY_LEVEL, zdict=samples)
        # Joined it is as long as it has to be: zlib gives the front of a long buffer, which stays behind it.
        return b"".join((bytes((len(self._samples) - 1,)), deflate.compress(octets), deflate.flush()))
