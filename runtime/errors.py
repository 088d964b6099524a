"""Everything the world can do wrong, as one tree.

CavsError                     the world's fault: one clear line (seen, expected, what to do), exit code 1
  SourceError                 a camera, microphone, file or network source
    CameraLost
    MicrophoneLost
    MediaLost                 a file or a network stream that broke off
  EngineError                 the engine could not be made or could not run
    BundleRejected            a bundle that is torn, edited, of another schema or for another engine
    PlanRejected              a compiled plan that is not for this machine, or not to be trusted
    AdapterRejected           an adapter that does not fit its bundle
    AnswerRejected            the engine ran, and what it says cannot be: the model's fault rather than the engine's
  StoreError                  the model store: locked, unwritable, no such version
  FleetError                  models shared by several robots: keys, the remote
    RemoteAway                the remote cannot be reached or written now
    ReleaseRefused            a release that is not trusted, not whole or does not fit
  WireError                   a message that cannot be decoded
    StreamSilent              no message within the time (cavs.stream.subscriber)
    ControlRefused            a stream that does not do, or does not answer, what it is asked (cavs.runtime.control)
  FilmError                   a video that cannot be written (cavs.stream.film)
  WatchError                  a stream that cannot be watched as asked (cavs.stream.viewer)
  ConfigError                 a setting that cannot hold
  AdaptError                  data, training or evaluation
    DataRejected              ingredients, clips or labels that do not hold what their layout promises
    TrainingStopped           training could not go on; the last good checkpoint is kept
    LessonRejected            a lesson that cannot be given, written, read or learned
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


class PlanRejected(EngineError):
    """The compiled plan is missing, for another machine, version or bundle, or not to be trusted."""


class AdapterRejected(EngineError):
    """The adapter does not fit the bundle it names."""


class AnswerRejected(EngineError):
    """The engine ran, but its answer holds values that are not numbers, or labels of no class."""


class StoreError(CavsError):
    """The model store is locked, unwritable, or lacks what was asked for."""


class FleetError(CavsError):
    """Keys or the remote of a fleet are not as they must be."""


class RemoteAway(FleetError):
    """The remote cannot be reached, read or written now; later it may."""


class ReleaseRefused(FleetError):
    """A release is not signed by a trusted key, not whole, or does not fit."""


class WireError(CavsError):
    """A message on the wire cannot be decoded."""


class ControlRefused(WireError):
    """A stream does not do what it is asked, or does not answer."""


class ConfigError(CavsError):
    """A setting cannot hold."""


class AdaptError(CavsError):
    """Data, training or evaluation failed."""


class DataRejected(AdaptError):
    """Ingredients, clips or labels do not hold what their layout promises."""


class TrainingStopped(AdaptError):
    """Training could not go on; the last good checkpoint is kept."""


class LessonRejected(AdaptError):
    """A lesson cannot be given, written, read or learned."""


class ExportError(CavsError):
    """A network could not be turned into a bundle."""
