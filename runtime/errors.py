"""Everything the world can do wrong, as one tree.

CavsError                     the world's fault: one clear line (seen, expected, what to do), exit code 1
  SourceError                 a camera, microphone, file or network source
    CameraLost
    MicrophoneLost
    MediaLost                 a file or a network stream that broke off
  EngineError                 the engine could not be made or could not run
    BundleRejected            a bundle that is torn, edited, of another schema or for another engine
    AdapterRejected           an adapter that does not fit its bundle
  StoreError                  the model store: locked, unwritable, no such version
  WireError                   a message that cannot be decoded
    StreamSilent              no message within the time (cavs.stream.subscriber)
  FilmError                   a video that cannot be written (cavs.stream.film)
  WatchError                  a stream that cannot be watched as asked (cavs.stream.viewer)
  ConfigError                 a setting that cannot hold
  AdaptError                  data, training or evaluation
    DataRejected              ingredients, clips or labels that do not hold what their layout promises
    TrainingStopped           training could not go on; the last good checkpoint is kept
  ExportError                 a network that could not be turned into a bundle

Misuse by a programmer is ValueError at construction, never one of these.
"""


class CavsError(Exception):
    """The world's fault. Its text is one line for a person: what was seen, what was expected, what to do."""


class SourceError(CavsError):
    """A camera, a microphone, a file or a network source failed."""


class CameraLost(SourceError):
    """The camera stopped delivering frames or cannot be opened."""


class MicrophoneLost(SourceError):
    """The microphone stopped delivering blocks or cannot be opened."""


class MediaLost(SourceError):
    """A file or network stream cannot be opened, decoded or reached."""


class EngineError(CavsError):
    """The engine could not be made or could not run."""


class BundleRejected(EngineError):
    """The bundle is torn, edited, of another schema or not for this engine."""


class AdapterRejected(EngineError):
    """The adapter does not fit the bundle it names."""


class StoreError(CavsError):
    """The model store is locked, unwritable, or lacks what was asked for."""


class WireError(CavsError):
    """A message on the wire cannot be decoded."""


class ConfigError(CavsError):
    """A setting cannot hold."""


class AdaptError(CavsError):
    """Data, training or evaluation failed."""


class DataRejected(AdaptError):
    """Ingredients, clips or labels do not hold what their layout promises."""


class TrainingStopped(AdaptError):
    """Training could not go on; the last good checkpoint is kept."""


class ExportError(CavsError):
    """A network could not be turned into a bundle."""
