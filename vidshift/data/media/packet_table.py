"""Which packet of a stream is which frame, where its headers prove it.

A packet need not be a frame: fields share one, hidden pictures are never shown, some are
empty, and what comes before the first keyframe cannot be decoded. Nor need its time be
right: a file that was copied from a container without times states that of decoding. Only
a stream that shows by its headers that nothing of this happens is read by its packets.
"""

import itertools
from collections.abc import Sequence

import av

from vidshift.data.media import h264, vpx
from vidshift.data.media.container import is_of

# Containers that store when each frame is shown.
TIMED_FORMATS = frozenset({"mp4", "matroska", "mpegts"})
# Codecs whose every packet is a frame, decoded without others and shown in their order.
INTRA_CODECS = frozenset({"mjpeg"})
# Codecs that show frames in the order they are decoded.
IN_ORDER_CODECS = frozenset({"vp8", "vp9"})


class PacketTable:
    """Facts of a stream's packets, added one after another.

    Attributes:
      pts, dts: times of each, in the stream's unit; None where there is none.
      hidden: whether it is never shown: an edit list or the picture's header says so.
      empty: number of packets without a picture, which are not in the table.
      may_prove: whether the headers may prove which packet is which frame.
    """

    def __init__(self, stream: av.VideoStream):
        context = stream.codec_context
        self.pts: list[int | None] = []
        self.dts: list[int | None] = []
        self.hidden: list[bool] = []
        self.empty = 0
        self._pictures: list[h264.Picture] = []
        self._reader = None
        self._codec: str | None = None
        self._keyframes: list[bool] = []
        self.may_prove = is_of(stream, TIMED_FORMATS)
        if context.name == "h264":
            self._reader = h264.Reader(context.extradata)
        elif context.name in IN_ORDER_CODECS:
            self._codec = context.name
        elif context.name not in INTRA_CODECS:
            self.may_prove = False

    def __len__(self) -> int:
        return len(self.pts)

    def add(self, packet: av.Packet) -> None:
        if not packet.size:
            self.empty += 1
            return
        self.pts.append(packet.pts)
        self.dts.append(packet.dts)
        self.hidden.append(packet.is_discard)
        if self.may_prove and self._codec:
            number, is_keyframe = vpx.shown(bytes(packet), self._codec)
            self.may_prove = number < 2 and (len(self) > 1 or is_keyframe)
            self.hidden[-1] |= not number
            self._keyframes.append(is_keyframe)
        if self.may_prove and self._reader:
            picture = self._reader.picture(packet)
            if picture is None:
                self.may_prove = False
            else:
                self._pictures.append(picture)

    def shown_pts(self) -> list[int] | None:
        """When each frame is shown, in order; None where the packets cannot tell.

        That the packets of a period are in the order of their times is left to `proves`.
        """
        if not self.may_prove or not self.pts:
            return None
        if None in self.pts or len(set(self.pts)) != len(self.pts):
            return None
        # Where another stream follows, its times may lie before those of the first.
        decoded = [time for time in self.dts if time is not None]
        if any(later <= time for time, later in itertools.pairwise(decoded)):
            return None
        if self._codec and any(b <= a for a, b in itertools.pairwise(self.pts)):
            return None
        if self._reader:
            if self._reader.parameters is None or not self._pictures[0].is_idr:
                return None
            if self._reader.parameters.may_be_fields and self._has_fields():
                return None
            last = None
            for period in self.periods():
                times = self.pts[period.start : period.stop]
                if last is not None and min(times) < last:
                    return None
                last = max(times)
        pairs = zip(self.pts, self.hidden, strict=True)
        return sorted(time for time, hidden in pairs if not hidden)

    def periods(self) -> list[range]:
        """Positions that are decoded without those before and after."""
        if self._codec:
            # A keyframe takes the place of all that pictures are predicted from.
            return _from_each(self._keyframes)
        if not self._reader:
            return [range(place, place + 1) for place in range(len(self))]
        return _from_each([picture.is_idr for picture in self._pictures])

    def proves(self, period: range) -> bool:
        """Returns whether a period's frames are shown in the order of their times."""
        if not self._reader:
            return True
        orders = self._reader.orders(self._pictures[period.start : period.stop])
        if orders is None or len(set(orders)) != len(orders):
            return False
        times = self.pts[period.start : period.stop]
        places = range(len(orders))
        return sorted(places, key=orders.__getitem__) == sorted(
            places, key=times.__getitem__
        )

    def needed(self, positions: set[int]) -> list[list[int]] | None:
        """Runs of packets to be decoded for some, each from a fresh decoder.

        None where the frames of one are not proven.
        """
        if self._codec:
            return [
                list(range(period.start, max(wanted) + 1))
                for period in self.periods()
                if (wanted := positions.intersection(period))
            ]
        if not self._reader:
            return [sorted(positions)]
        for period in self.periods():
            if not positions.isdisjoint(period) and not self.proves(period):
                return None
        return h264.needed_packets(self._pictures, positions)

    def _has_fields(self) -> bool:
        headers = map(self._reader.header, self._pictures)
        return any(header is None or header.is_field for header in headers)


def _from_each(starts: Sequence[bool]) -> list[range]:
    """Ranges from each place that is a start to the next."""
    places = [place for place, is_start in enumerate(starts) if is_start]
    return [
        range(start, stop) for start, stop in itertools.pairwise([*places, len(starts)])
    ]
